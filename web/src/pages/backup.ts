/** What came of a backup, told where one is by then: it takes a while, and people don't wait for it on one page. */
import type { Job } from "@covey/client";
import { useEffect } from "react";
import { onNodeEvent } from "../api/live.ts";
import { sentence } from "../lib/format.ts";
import { toast } from "../ui/toast.tsx";

/** Why a backup that has ended wasn't made, or undefined. */
export function backupWrong({ state, error }: Job): string | undefined {
  if (state === "cancelled") return "It was stopped; no backup was made.";
  return state === "failed" ? sentence(error?.detail ?? "It broke off; no backup was made.") : undefined;
}

/** The settings tell it themselves. */
export function useBackupNews(path: string): void {
  useEffect(() => onNodeEvent((event) => {
    if (event.event !== "job" || event.job.kind !== "backup" || path === "/settings") return;
    if (event.job.state === "done") toast("The backup is made and read back.");
    const wrong = backupWrong(event.job);
    if (wrong) toast(`Backup: ${wrong}`, true);
  }), [path]);
}

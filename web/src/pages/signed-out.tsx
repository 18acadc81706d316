import { KeyRound } from "lucide-react";
import { useEffect } from "react";
import { api } from "../api/client.ts";
import { useTitle } from "../frame/page.tsx";
import { Button } from "../ui/button.tsx";
import { Copy, Empty } from "../ui/parts.tsx";

/** Whoever opened a new link did so in another tab and comes back to this one: it looks whether it may go on. */
function useComingBack(): void {
  useEffect(() => {
    const look = () => {
      if (document.visibilityState !== "visible") return;
      api.status().then(() => location.reload(), () => undefined);
    };
    document.addEventListener("visibilitychange", look);
    window.addEventListener("focus", look);
    return () => {
      document.removeEventListener("visibilitychange", look);
      window.removeEventListener("focus", look);
    };
  }, []);
}

export function SignedOut() {
  useTitle("Signed out");
  useComingBack();
  return (
    <main className="centre">
      <Empty
        icon={<KeyRound />}
        title="This browser is not signed in any more"
        act={
          <div className="row wrap" style={{ justifyContent: "center" }}>
            <Copy text="covey web" label="Copy the command" />
            <Button kind="main" onClick={() => location.reload()}>I have opened it</Button>
          </div>
        }
      >
        A browser stays signed in for 30 days, or until all are signed out at the node. In a terminal on this machine, <code>covey web</code> prints
        a new link. Open it in this browser, then come back to this tab. What you were writing is kept here.
      </Empty>
    </main>
  );
}

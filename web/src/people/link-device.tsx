/** Making another device one of one's own. */
import { useMutation } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { api } from "../api/client.ts";
import { useDevices } from "../api/queries.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Note, Wait } from "../ui/parts.tsx";
import { OpenCode } from "./invite.tsx";
import { Words } from "./words.tsx";

export default function LinkDevice({ onClose }: { onClose: () => void }) {
  const link = useMutation({ mutationFn: () => api.linkDevice() });
  const { mutate } = link;
  useEffect(() => mutate(), [mutate]);
  const { data } = useDevices();
  const [before, setBefore] = useState<Set<string> | null>(null);
  const own = data?.filter((device) => device.yours);
  if (own && !before) setBefore(new Set(own.map((device) => device.peer_id)));
  const fresh = before && own?.find((device) => !before.has(device.peer_id));
  return (
    <Dialog open onClose={onClose} title="Link another device of yours">
      {fresh ? (
        <div className="stack" role="status">
          <Note tone="good"><b>{fresh.name}</b> is one of your devices now. Your spaces come to it by themselves.</Note>
          <p>Compare these words with what it shows for itself:</p>
          <Words words={fresh.words} big />
          <Button kind="main" onClick={onClose}>Done</Button>
        </div>
      ) : (
        <>
          <p className="soft">On the other device, start Covey, choose "Another device of mine", and give it this code. The device has to be new, in no space yet.</p>
          {link.isError && <Note tone="bad">{link.error.message}</Note>}
          {link.isPending && <Wait text="Making a code" />}
          {link.data && <OpenCode invite={link.data} onAgain={() => mutate()} waiting="Waiting for your device." />}
        </>
      )}
    </Dialog>
  );
}

/** Acts on a whole space that want a question first. */
import type { Space } from "@covey/client";
import { useLocation } from "wouter";
import { api, queries } from "../api/client.ts";
import { keys } from "../api/keys.ts";
import { Confirm } from "../ui/dialog.tsx";
import { toast } from "../ui/toast.tsx";

interface ActProps {
  space: Space;
  onClose: () => void;
}

export function LeaveSpace({ space, onClose }: ActProps) {
  const [, go] = useLocation();
  const leave = async () => {
    await api.leaveSpace(space.id);
    await queries.invalidateQueries({ queryKey: keys.status });
    toast(`You have left ${space.name}.`);
    go("/");
  };
  return (
    <Confirm open onClose={onClose} title={`Leave ${space.name}?`} act="Leave" onConfirm={leave}>
      <p>All your devices leave it. What has come to them so far stays readable there; nothing new will come. To come back you need an invitation.</p>
    </Confirm>
  );
}

export function RotateKey({ space, onClose }: ActProps) {
  const rotate = async () => {
    await api.rotateKey(space.id);
    toast(`The key of ${space.name} is changed.`);
  };
  return (
    <Confirm open onClose={onClose} title={`Change the key of ${space.name}?`} act="Change the key" onConfirm={rotate}>
      <p>What is written from now on is encrypted under a new key that only the members' devices get. It does no harm; it helps where you think that somebody has learnt the old one.</p>
    </Confirm>
  );
}

/** Only what needs a look: the node doesn't answer, this device was revoked, one is out of this space, somebody's clock is off. */
import type { Space } from "@covey/client";
import { useSecondsUntil } from "../ui/code.tsx";
import { retryNow, useLine } from "../api/live.ts";
import { useSpace, useStatus } from "../api/queries.ts";
import { duration, inFull } from "../lib/format.ts";
import { Button } from "../ui/button.tsx";

export function Banner({ space: id }: { space: string | null }) {
  const line = useLine();
  const { data } = useStatus();
  const space = useSpace(id ?? "");
  if (line.state === "waiting" || (line.state === "connecting" && line.wasOpen)) return <Unreachable retryAt={line.retryAt} />;
  if (data?.revoked) {
    return <p className="banner bad" role="alert">This device was revoked by another one of yours. It can change nothing any more.</p>;
  }
  // On the page that is open at that moment too: whoever was put out must not go on writing in vain.
  if (space?.removed) return <p className="banner" role="status">{whyOut(space.removed)} You can read what came until then. Nothing new comes, and you can't write here.</p>;
  const clock = data?.clocks[0];
  if (!clock) return null;
  const which = clock.ahead_ms > 0 ? "ahead of" : "behind";
  return (
    <p className="banner" role="status">
      The clock of {clock.name ?? "a device"} is {duration(Math.abs(clock.ahead_ms) / 1000)} {which} this one's. What it wrote waits until the clocks agree.
    </p>
  );
}

const whyOut = ({ own, by, at }: NonNullable<Space["removed"]>): string =>
  own ? `You left this space on ${inFull(at)}.` : `${by ?? "Somebody"} put you out of this space on ${inFull(at)}.`;

function Unreachable({ retryAt }: { retryAt: number | null }) {
  const left = useSecondsUntil(new Date(retryAt ?? Date.now()).toISOString());
  const when = retryAt && left > 0 ? `Trying again in ${Math.ceil(left)} s.` : "Trying again.";
  return (
    <div className="banner bad">
      <span role="alert">The node on this machine does not answer. What you write is kept here meanwhile.</span>
      <span className="num">{when}</span>
      <Button onClick={retryNow}>Try now</Button>
    </div>
  );
}

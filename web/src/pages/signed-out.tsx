import { KeyRound } from "lucide-react";
import { useTitle } from "../frame/page.tsx";
import { Button } from "../ui/button.tsx";
import { Copy, Empty } from "../ui/parts.tsx";

export function SignedOut() {
  useTitle("Signed out");
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
        The node has been started again since, and forgets browsers then. In a terminal on this machine, <code>covey web</code> prints
        a new link; open it in this browser. What you were writing is kept here.
      </Empty>
    </main>
  );
}

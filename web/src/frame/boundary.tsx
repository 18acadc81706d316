/** A defect in one part doesn't take the whole page with it. */
import { RotateCcw } from "lucide-react";
import { Component, type ReactNode } from "react";
import { Button } from "../ui/button.tsx";
import { Empty } from "../ui/parts.tsx";

export class Boundary extends Component<{ children: ReactNode }, { error: Error | null }> {
  override state: { error: Error | null } = { error: null };

  static getDerivedStateFromError(error: unknown) {
    return { error: error instanceof Error ? error : new Error(String(error)) };
  }

  override render() {
    if (!this.state.error) return this.props.children;
    return (
      <Empty
        icon={<RotateCcw />}
        title="This part could not be shown"
        act={<Button kind="main" onClick={() => location.reload()}>Load the page again</Button>}
      >
        Nothing that you wrote is lost. What went wrong: {this.state.error.message}
      </Empty>
    );
  }
}

import { Compass } from "lucide-react";
import { Link } from "wouter";
import { useTitle } from "../frame/page.tsx";
import { Empty } from "../ui/parts.tsx";

export function NotFound() {
  useTitle("Nothing here");
  return (
    <Empty icon={<Compass />} title="There is nothing at this address" act={<Link className="button main" href="/">To your space</Link>}>
      It may have been a link to something that is gone, or a slip of the keys.
    </Empty>
  );
}

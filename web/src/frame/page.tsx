/** The head of a page: its name, what it is for, and what can be done. It also tells the name to those who can't see it. */
import { ArrowLeft } from "lucide-react";
import { useEffect, type ReactNode } from "react";
import { useRoute } from "wouter";
import { unturned } from "../lib/format.ts";
import { announce } from "./announcer.tsx";
import { LinkButton } from "./link.tsx";

export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${unturned(title)} - Covey`;
    announce(title);
  }, [title]);
}

interface PageProps {
  title: string;
  lead?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
}

export function Page({ title, lead, actions, children }: PageProps) {
  useTitle(title);
  const [, inSpace] = useRoute("/s/:space/*?");
  return (
    <div className="page scroll">
      <div className="inner">
        <header className="page-head">
          <div className="grow">
            <div className="row">
              <LinkButton label="Back to the rooms" to={inSpace ? `/s/${inSpace["space"] ?? ""}` : "/"} className="phone-only">
                <ArrowLeft size={20} />
              </LinkButton>
              <h1 dir="auto">{title}</h1>
            </div>
            {lead && <p>{lead}</p>}
          </div>
          {actions && <div className="row wrap">{actions}</div>}
        </header>
        {children}
      </div>
    </div>
  );
}

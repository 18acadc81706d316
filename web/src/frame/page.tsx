/** The head of a page: its name, what it is for, and what can be done. It also tells the name to those who can't see it. */
import { ArrowLeft } from "lucide-react";
import { useEffect, type ReactNode } from "react";
import { useRoute } from "wouter";
import { unturned } from "../lib/format.ts";
import { announce } from "./announcer.tsx";
import { LinkButton } from "./link.tsx";

/** What the tab is called: the page, and before it how much is unread, for whoever looks at another tab. */
const tab = { title: "", unread: 0 };
const MOST_UNREAD = 99;

function nameTab(change: Partial<typeof tab>): void {
  Object.assign(tab, change);
  const { title, unread } = tab;
  const count = unread > MOST_UNREAD ? `${MOST_UNREAD}+` : unread;
  document.title = `${unread > 0 ? `(${count}) ` : ""}${unturned(title)} - Covey`;
}

export function useTitle(title: string): void {
  useEffect(() => {
    nameTab({ title });
    announce(title);
  }, [title]);
}

export function useUnreadInTitle(unread: number): void {
  useEffect(() => {
    nameTab({ unread });
    return () => nameTab({ unread: 0 });
  }, [unread]);
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

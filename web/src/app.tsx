/** The whole: providers, the line to the node, and which page stands at which path. */
import { CSPProvider } from "@base-ui/react/csp-provider";
import { Tooltip } from "@base-ui/react/tooltip";
import { QueryClientProvider } from "@tanstack/react-query";
import { lazy, Suspense, useEffect } from "react";
import { Redirect, Route, Switch } from "wouter";
import { queries } from "./api/client.ts";
import { startLive } from "./api/live.ts";
import { askStatusAhead, spacesOf, useStatus } from "./api/queries.ts";
import { askChannelsAhead } from "./chat/queries.ts";
import { useSignedOut } from "./api/session.ts";
import { Boundary } from "./frame/boundary.tsx";
import { Frame } from "./frame/frame.tsx";
import { homeSpace } from "./frame/last.ts";
import { SignedOut } from "./pages/signed-out.tsx";
import { SpaceHome } from "./pages/space-home.tsx";
import { NotFound } from "./pages/not-found.tsx";
import { Tips } from "./ui/button.tsx";
import { Toasts } from "./ui/toast.tsx";
import { Wait } from "./ui/parts.tsx";

// What most people open first comes with the first load; the rest when it's wanted.
const Welcome = lazy(() => import("./pages/welcome.tsx"));
const People = lazy(() => import("./people/people.tsx"));
const Audit = lazy(() => import("./people/audit.tsx"));
const Devices = lazy(() => import("./people/devices.tsx"));
const Network = lazy(() => import("./network/network.tsx"));
const Data = lazy(() => import("./data/data.tsx"));
const Settings = lazy(() => import("./pages/settings.tsx"));
const loadConversation = () => import("./chat/conversation.tsx");
const Conversation = lazy(loadConversation);
const Search = lazy(() => import("./chat/search.tsx"));

/** What the page at this address will need, asked for before the first of it is drawn: the answers come meanwhile. */
export function askAhead(path: string): void {
  askStatusAhead();
  const [, space, channel] = /^\/s\/([^/]+)(\/c\/)?/.exec(path) ?? [];
  if (space) askChannelsAhead(space);
  if (channel) void loadConversation();
}

export function App() {
  return (
    <CSPProvider disableStyleElements>
      <QueryClientProvider client={queries}>
        <Tooltip.Provider>
          <Session />
          <Toasts />
          <Tips />
        </Tooltip.Provider>
      </QueryClientProvider>
    </CSPProvider>
  );
}

function Session() {
  const out = useSignedOut();
  useEffect(() => (out ? undefined : startLive()), [out]);
  if (out) return <SignedOut />;
  return (
    <Boundary>
      <Switch>
        <Route path="/welcome"><Suspense fallback={<Loading />}><Welcome /></Suspense></Route>
        <Route><Framed /></Route>
      </Switch>
    </Boundary>
  );
}

const Loading = () => <div className="centre"><Wait text="Opening" /></div>;

function Framed() {
  return (
    <Frame>
      <Boundary>
        <Suspense fallback={<div className="page"><div className="inner"><Wait text="Opening" /></div></div>}>
          <Pages />
        </Suspense>
      </Boundary>
    </Frame>
  );
}

function Pages() {
  return (
    <Switch>
      <Route path="/"><Front /></Route>
      <Route path="/s/:space">{({ space }) => <SpaceHome key={space} id={space} />}</Route>
      <Route path="/s/:space/c/:channel">
        {({ space, channel }) => <Conversation key={channel} space={space} channel={channel} />}
      </Route>
      <Route path="/s/:space/search">{({ space }) => <Search key={space} space={space} />}</Route>
      <Route path="/s/:space/people">{({ space }) => <People key={space} space={space} />}</Route>
      <Route path="/s/:space/audit">{({ space }) => <Audit key={space} space={space} />}</Route>
      <Route path="/s/:space/data/:collection?">{({ space }) => <Data key={space} space={space} collection={collectionInPath()} />}</Route>
      <Route path="/devices"><Devices /></Route>
      <Route path="/network"><Network /></Route>
      <Route path="/settings"><Settings /></Route>
      <Route><NotFound /></Route>
    </Switch>
  );
}

/** As it was put there. The router decodes a path as a whole, which leaves as they are the characters that mean something in one. */
function collectionInPath(): string | undefined {
  try {
    return decodeURIComponent(location.pathname.split("/")[4] ?? "") || undefined;
  } catch {
    return undefined;
  }
}

/** To the space of last time, or where one begins. */
function Front() {
  const { data } = useStatus();
  if (!data) return <div className="page"><div className="inner"><Wait text="Asking the node" /></div></div>;
  const space = homeSpace(spacesOf(data));
  return <Redirect to={space ? `/s/${space.id}` : "/welcome"} replace />;
}

//! `covey up`: the node, in the foreground, until it is told to stop.

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

use covey_api::{
    ApiConfig, Server, Token,
    dto::{ApiFile, IdentityDto},
    limits::{IDLE_TIMEOUT, SEND_TIMEOUT},
};
use covey_node::{Node, NodeConfig, Role};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle};
use tracing_subscriber::EnvFilter;
use zeroize::{Zeroize, Zeroizing};

use crate::{
    args::{Args, Up},
    client::API_FILE,
    commands, config,
    diag::Failure,
    output::{Out, Tone, visible},
    settings::{self, Settings},
    unlock,
};

/// How often a file that found no room on the disk is tried again: soon enough for who has just freed some.
const ROOM_INTERVAL: Duration = Duration::from_secs(1);

/// Runs the node until SIGINT or SIGTERM.
pub(crate) async fn run(args: &Args, up: &Up, out: &Out) -> Result<(), Failure> {
    let settings = Settings::load(args, Some(up))?;
    start_log(settings.log())?;
    let listener = bind(&settings).await?;
    // It may ask for a passphrase, and heeds signals by itself meanwhile.
    let config = node_config(&settings, up).await?;
    let mut signals = Signals::new()?;
    let opened = tokio::select! {
        opened = Node::open(config) => opened,
        () = signals.stop() => return Ok(()),
    };
    let node = opened.map_err(commands::open_failure)?;
    warn_of_names(up, &node, out);
    let served = serve(&node, listener, &settings).await;
    let result = match served {
        Ok(serving) => {
            let told = tell(&node, &serving.server, &settings, out).await;
            if told.is_ok() {
                signals.stop().await;
            }
            out.hint("\nStopping.");
            serving.stop(&mut signals).await;
            told
        }
        Err(failure) => Err(failure),
    };
    tokio::select! {
        () = node.shutdown() => result,
        // Asked a second time: the store is made for being cut off at any moment.
        () = signals.stop() => Err(Failure::interrupted()),
    }
}

/// An identity keeps its names: new ones on the command line would otherwise be dropped without a word.
fn warn_of_names(up: &Up, node: &Node, out: &Out) {
    let identity = node.identity();
    let asked = [
        ("--name", &up.profile.name, &identity.user_name),
        ("--device", &up.profile.device, &identity.device_name),
    ];
    for (flag, asked, kept) in asked {
        if asked.as_ref().is_some_and(|asked| asked.trim() != kept) {
            out.hint(&format!(
                "This home has an identity already, so that {flag} changes nothing: it stays {}.",
                visible(kept)
            ));
        }
    }
}

fn start_log(filter: &str) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| Failure::failed("the log filter is not valid").because(error))?;
    // After a restart a peer shows an address token from before; QUIC ignores it, and nobody has to act on that.
    let token_log = "quinn_proto::bloom_token_log=error".parse().expect("a constant directive");
    let filter = filter.add_directive(token_log);
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
        .try_init()
        .map_err(|error| Failure::failed("the log could not start").because(error))
}

/// Binds before the node opens: a port that is taken should not cost the making of an identity.
async fn bind(settings: &Settings) -> Result<TcpListener, Failure> {
    let (addr, is_chosen) = settings.api();
    let taken = match TcpListener::bind(addr).await {
        Ok(listener) => return Ok(listener),
        Err(error) if !is_chosen && error.kind() == io::ErrorKind::AddrInUse => error,
        Err(error) => return Err(bind_failure(addr, error)),
    };
    tracing::info!(%addr, error = %taken, "the usual port is taken; any free one does");
    let any = SocketAddr::new(addr.ip(), 0);
    TcpListener::bind(any).await.map_err(|error| bind_failure(any, error))
}

fn bind_failure(addr: SocketAddr, error: io::Error) -> Failure {
    let is_taken = error.kind() == io::ErrorKind::AddrInUse;
    let failure = Failure::failed(format!("the API could not listen on {addr}")).because(error);
    if is_taken {
        return failure.hint("another program has this port; choose one with --api, or leave --api out");
    }
    failure
}

async fn node_config(settings: &Settings, up: &Up) -> Result<NodeConfig, Failure> {
    let home = settings::home_path(settings);
    let mut config = NodeConfig::new(home);
    config.unlock = unlock::unlock(home, &up.profile.unlock).await?;
    config.profile = (!covey_node::exists(home)).then(|| commands::profile(settings));
    config.network = settings.network();
    config.listen = settings.listen();
    config.bootstrap = settings.bootstrap();
    config.min_free_bytes = settings.min_free();
    Ok(config)
}

/// The API, and the file by which it is found.
struct Serving {
    server: Server,
    file: PathBuf,
    /// What writes the file once the disk has room for it.
    late: Option<JoinHandle<()>>,
}

async fn serve(node: &Node, listener: TcpListener, settings: &Settings) -> Result<Serving, Failure> {
    let token = Token::generate();
    let (send_timeout, idle_timeout) = (SEND_TIMEOUT, IDLE_TIMEOUT);
    let config = ApiConfig { listener, token: token.clone(), hosts: Vec::new(), send_timeout, idle_timeout };
    let server = covey_api::serve(node.clone(), config)
        .await
        .map_err(|error| Failure::failed("the API could not start").because(error))?;
    if !server.addr().ip().is_loopback() {
        tracing::warn!(addr = %server.addr(), "the API is open to other machines, and not encrypted");
    }
    let file = settings::home_path(settings).join(API_FILE);
    let contents = api_file(&server, &token)?;
    let late = match config::write_private_over(&file, &contents) {
        Ok(()) => None,
        Err(error) if config::is_full(&error) => Some(tokio::spawn(write_late(file.clone(), contents))),
        Err(error) => {
            let message = format!("{} could not be written", file.display());
            return Err(Failure::failed(message).because(error));
        }
    };
    Ok(Serving { server, file, late })
}

fn api_file(server: &Server, token: &Token) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut contents =
        ApiFile { api: server.url(), token: token.expose().to_owned(), pid: std::process::id() };
    let text = serde_json::to_vec(&contents).map(Zeroizing::new);
    contents.token.zeroize();
    text.map_err(|error| Failure::failed("the file of the API could not be put together").because(error))
}

/// On a full disk the node serves the others all the same; the file by which commands find it comes once there is room.
async fn write_late(file: PathBuf, contents: Zeroizing<Vec<u8>>) {
    let shown = file.display();
    tracing::error!(
        "the disk is full: {shown} can't be written, and commands won't find this node until some room is freed"
    );
    loop {
        tokio::time::sleep(ROOM_INTERVAL).await;
        match config::write_private_over(&file, &contents) {
            Ok(()) => {
                return tracing::warn!(
                    "there is room again: {shown} is written, and commands find this node"
                );
            }
            Err(error) if config::is_full(&error) => {}
            Err(error) => return tracing::error!(%error, "{shown} could not be written"),
        }
    }
}

impl Serving {
    /// Removes the file first, so that nobody new comes, then lets the others end.
    async fn stop(self, signals: &mut Signals) {
        if let Some(late) = self.late {
            late.abort();
            // Ended or aborted: it writes no more.
            let _ = late.await;
        }
        if let Err(error) = std::fs::remove_file(&self.file)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(file = %self.file.display(), %error, "the file of the API could not be removed");
        }
        tokio::select! {
            () = self.server.stop() => {}
            () = signals.stop() => {}
        }
    }
}

async fn tell(node: &Node, server: &Server, settings: &Settings, out: &Out) -> Result<(), Failure> {
    let identity = covey_api::identity(node.identity());
    let listen = node.listen_addresses().await;
    if out.is_json() {
        return out.document(&json!({
            "event": "ready",
            "api": server.url(),
            "web": server.web_link(),
            "peer_id": identity.peer_id,
            "listen": listen,
        }));
    }
    let steps = next_steps(invitable(node).as_deref(), !node.spaces().is_empty());
    out.line(&readable(&identity, &listen, server, settings, &steps, out))
}

fn readable(
    identity: &IdentityDto,
    listen: &[String],
    server: &Server,
    settings: &Settings,
    steps: &[Step; 3],
    out: &Out,
) -> String {
    let label = |text: &str| out.paint(Tone::Soft, &format!("{text:<12}"));
    let mut lines = vec![out.paint(Tone::Strong, "Covey is running."), String::new()];
    lines.push(commands::intro(identity, out));
    for (i, address) in listen.iter().enumerate() {
        let text = label(if i == 0 { "Listens on" } else { "" });
        lines.push(format!("  {text} {}", commands::status::place(address)));
    }
    lines.push(format!("  {} {}", label("API"), server.url()));
    lines.push(format!("  {} {}", label("Page"), server.web_link()));
    lines.push(format!("\n{}", out.paint(Tone::Strong, "Next, in another terminal")));
    lines.extend(typed_steps(steps, settings, out));
    lines.push("\nCtrl-C stops the node. The page's link opens once.".to_owned());
    lines.join("\n")
}

/// What follows `covey` on the command line, and what it does.
type Step = (String, &'static str);

/// The name, or what else to type, of a space that this node may invite to.
fn invitable(node: &Node) -> Option<String> {
    let spaces = node.spaces();
    let space = spaces.iter().find(|space| space.role().is_some_and(|role| role >= Role::Admin))?;
    let (name, id) = (space.name(), space.id().to_string());
    let is_alone = spaces.iter().filter(|other| other.name() == name).count() == 1;
    Some(if is_alone { commands::typed(&name, &id).into_owned() } else { id })
}

/// The next three things to do: at first how to get a space, later how to use those that are here.
fn next_steps(invitable: Option<&str>, has_spaces: bool) -> [Step; 3] {
    let step = |typed: &str, what| (typed.to_owned(), what);
    let (status, web) =
        (step("status", "who is here, and how it stands"), step("web", "the same as a page in a browser"));
    match invitable {
        Some(space) => [status, (format!("invite {space}"), "print a code that lets another device in"), web],
        None if has_spaces => [status, web, step("join COVEY-XXXX-XXXX", "join another space by its code")],
        None => [
            step("space create garden", "make a space"),
            step("invite garden", "print a code that lets a device in"),
            step("join COVEY-XXXX-XXXX", "or use the code that someone gave you"),
        ],
    }
}

/// The same, as they would be typed.
fn typed_steps(steps: &[Step], settings: &Settings, out: &Out) -> Vec<String> {
    let steps: Vec<_> =
        steps.iter().map(|(rest, what)| (settings::command(&settings.home, rest), what)).collect();
    let width = steps.iter().map(|(typed, _)| typed.chars().count()).max().unwrap_or(0);
    steps.iter().map(|(typed, what)| format!("  {typed:<width$}   {}", out.paint(Tone::Soft, what))).collect()
}

/// What tells the node to stop.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> Result<Self, Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        let failed = |error: io::Error| Failure::failed("signals could not be listened for").because(error);
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
        })
    }

    async fn stop(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> Result<Self, Failure> {
        Ok(Self)
    }

    async fn stop(&mut self) {
        // Without Ctrl-C there is only the end of the process.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}

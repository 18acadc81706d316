//! Starts a network in the current network namespace and prints what happens as JSON lines.
//!
//! `discover [--connect] [--tcp]`: each line has `at_ms` (wall clock, milliseconds since the
//! epoch) and `event`. With `--connect` it connects to whom it finds, with `--tcp` it leaves QUIC out. Says goodbye and exits when its standard input ends. The figure in
//! `bench/discovery.sh` and the tests in `tests/lan.rs` are made with it.

use std::time::{SystemTime, UNIX_EPOCH};

use covey_net::{NetConfig, NetEvent, start};
use covey_types::DeviceSecret;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

fn say(mut line: Value) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    line["at_ms"] = json!(now.as_secs_f64() * 1000.0);
    println!("{line}");
}

fn told(event: &NetEvent) -> Value {
    match event {
        NetEvent::Listening(addr) => json!({"event": "listening", "addr": addr.to_string()}),
        NetEvent::Discovered { device, addrs, source, generation } => json!({
            "event": "discovered", "device": device.to_string(), "source": format!("{source:?}"), "generation": generation,
            "addrs": addrs.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }),
        NetEvent::Lost { device } => json!({"event": "lost", "device": device.to_string()}),
        NetEvent::Connected { device, address, transport, .. } => json!({
            "event": "connected", "device": device.to_string(), "address": address.to_string(),
            "transport": format!("{transport:?}"),
        }),
        NetEvent::Disconnected { device, reason } => {
            json!({"event": "disconnected", "device": device.to_string(), "reason": reason})
        }
        other => json!({"event": format!("{other:?}")}),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter("covey_net=debug").init();
    let connect = std::env::args().any(|arg| arg == "--connect");
    let secret = DeviceSecret::generate();
    say(json!({"event": "started", "device": secret.id().to_string()}));
    let mut config = NetConfig::new(secret);
    if std::env::args().any(|arg| arg == "--tcp") {
        config.listen = vec!["/ip4/0.0.0.0/tcp/0".parse()?];
    }
    let (net, mut events) = start(config)?;
    let ended = async {
        let mut sink = [0; 64];
        while tokio::io::stdin().read(&mut sink).await.is_ok_and(|n| n > 0) {}
    };
    tokio::pin!(ended);
    loop {
        tokio::select! {
            event = events.recv() => {
                let Some(event) = event else { return Ok(()) };
                say(told(&event));
                if let (true, NetEvent::Discovered { device, addrs, .. }) = (connect, event) {
                    let net = net.clone();
                    tokio::spawn(async move {
                        if let Err(error) = net.connect(device, addrs).await {
                            say(json!({"event": "connect_failed", "error": error.to_string()}));
                        }
                    });
                }
            }
            () = &mut ended => break,
        }
    }
    say(json!({"event": "leaving"}));
    net.shutdown().await;
    say(json!({"event": "left"}));
    Ok(())
}

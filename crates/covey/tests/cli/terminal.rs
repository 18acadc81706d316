//! What shows on a terminal only, on a real pseudo-terminal: the QR code, hints, and the passphrase prompt.
//!
//! The terminal is as a shell leaves it: it echoes what is typed unless the program turns that off.

use std::{
    io::{Read, Write},
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::Instant,
};

use crate::support::{Home, PATIENCE};
use portable_pty::{Child, CommandBuilder, PtySize, native_pty_system};

/// `covey` on a terminal of its own.
struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    chunks: Receiver<Vec<u8>>,
    shown: Vec<u8>,
    /// How far [`Terminal::until`] has read.
    read: usize,
}

impl Terminal {
    fn open(home: &Home, args: &[&str], env: &[(&str, &str)]) -> Self {
        // As large as it gets: what is tested is not how lines are broken.
        let size = PtySize { rows: 100, cols: 250, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_covey"));
        command.args(args);
        command.arg("--home");
        command.arg(home.path());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("COVEY_")) {
            command.env_remove(name);
        }
        command.env("TERM", "xterm");
        command.env_remove("NO_COLOR");
        for (name, value) in env {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        let mut screen = pair.master.try_clone_reader().unwrap();
        let keys = pair.master.take_writer().unwrap();
        let (send, chunks) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            // The terminal stays open as long as its master does, which is at least until the program has ended.
            let _master = pair.master;
            let mut buffer = [0; 4096];
            // Linux reports the end as an error.
            while let Ok(n @ 1..) = screen.read(&mut buffer) {
                if send.send(buffer[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keys, chunks, shown: Vec::new(), read: 0 }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.shown).into_owned()
    }

    /// Reads until this is shown, after what was waited for before.
    fn until(&mut self, wanted: &str) {
        let started = Instant::now();
        loop {
            let at = self.shown[self.read..].windows(wanted.len()).position(|seen| seen == wanted.as_bytes());
            if let Some(at) = at {
                self.read += at + wanted.len();
                return;
            }
            let left = PATIENCE.saturating_sub(started.elapsed());
            match self.chunks.recv_timeout(left) {
                Ok(chunk) => self.shown.extend(chunk),
                Err(why) => panic!("no {wanted:?} ({why}), only {:?}", self.text()),
            }
        }
    }

    /// What a person types, with the return key.
    fn types(&mut self, text: &str) {
        write!(self.keys, "{text}\r").unwrap();
        self.keys.flush().unwrap();
    }

    fn presses_ctrl_c(&mut self) {
        self.keys.write_all(b"\x03").unwrap();
        self.keys.flush().unwrap();
    }

    /// Waits for the end of the program: its exit code, and all that was shown.
    fn ends(mut self) -> (u32, String) {
        loop {
            match self.chunks.recv_timeout(PATIENCE) {
                Ok(chunk) => self.shown.extend(chunk),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end: {:?}", self.text()),
            }
        }
        (self.child.wait().unwrap().exit_code(), self.text())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Without the escape sequences of colours.
fn plain(shown: &str) -> String {
    let mut parts = shown.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').map_or("", |(_, rest)| rest))
}

/// The halves of the blocks of a QR code, row by row: whether each is drawn in the foreground.
fn blocks(text: &str) -> Vec<Vec<bool>> {
    let is_block = |c: char| matches!(c, ' ' | '█' | '▀' | '▄');
    let rows = text.lines().filter(|line| line.chars().count() > 20 && line.chars().all(is_block));
    rows.flat_map(|line| {
        let half = |full: char| line.chars().map(|c| c == '█' || c == full).collect();
        [half('▀'), half('▄')]
    })
    .collect()
}

/// What a camera would read.
fn read_qr(rows: &[Vec<bool>], foreground_is_dark: bool) -> String {
    /// Pixels per module: a reader samples a picture, not a grid.
    const SCALE: usize = 4;
    let (width, height) = (rows[0].len() * SCALE, rows.len() * SCALE);
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| {
        let foreground = rows[y / SCALE].get(x / SCALE).is_some_and(|&drawn| drawn);
        if foreground == foreground_is_dark { 0 } else { 255 }
    });
    let grids = image.detect_grids();
    assert_eq!(grids.len(), 1, "one QR code is shown");
    grids[0].decode().unwrap().1
}

#[test]
fn a_terminal_shows_a_qr_code_of_the_link_and_then_the_code_again() {
    let home = Home::new();
    let _node = home.up();
    home.ok(&["space", "create", "garden"]);
    // In colours the blocks are black on white; without them they are the light of a dark terminal.
    for (env, foreground_is_dark) in [(&[][..], true), (&[("NO_COLOR", "1")][..], false)] {
        let (exit, shown) = Terminal::open(&home, &["invite", "garden"], env).ends();
        let text = plain(&shown);
        assert_eq!(exit, 0, "{text}");
        let word = |start: &str| text.split_whitespace().find(|word| word.starts_with(start)).unwrap();
        let (link, code) = (word("covey://join/"), word("COVEY-"));
        assert_eq!(read_qr(&blocks(&text), foreground_is_dark), link);
        let below = &text[text.rfind(['█', '▀', '▄']).unwrap()..];
        assert!(below.contains(code), "{below}");
        assert!(text.contains("for 15 minutes, until "), "{text}");
    }
}

#[test]
fn a_pipe_gets_no_qr_code_and_no_colours() {
    let home = Home::new();
    let _node = home.up();
    home.ok(&["space", "create", "garden"]);
    let text = home.ok(&["invite", "garden"]);
    assert!(text.contains("covey://join/"));
    assert!(!text.contains(['█', '▀', '▄', '\x1b']), "{text}");
}

#[test]
fn the_end_of_an_invitation_is_told_in_local_time() {
    let home = Home::new();
    let _node = home.up();
    home.ok(&["space", "create", "garden"]);
    // Five and three quarters of an hour ahead of UTC, all year: no zone of a test machine.
    let until = |zone: &str| {
        let (_, shown) = Terminal::open(&home, &["invite", "garden"], &[("TZ", zone)]).ends();
        let clock = shown.split("until ").nth(1).unwrap()[..5].to_owned();
        let (hour, minute) = clock.split_once(':').unwrap();
        hour.parse::<i32>().unwrap() * 60 + minute.parse::<i32>().unwrap()
    };
    // The invitations are made one after the other: a minute may turn in between.
    let ahead = (until("<+0545>-5:45") - until("UTC0")).rem_euclid(24 * 60);
    assert!((344..=345).contains(&ahead), "{ahead} minutes");
}

#[test]
fn a_watch_on_a_terminal_says_that_it_waits() {
    let home = Home::new();
    let _node = home.up();
    home.ok(&["space", "create", "garden"]);
    let mut watch = Terminal::open(&home, &["record", "watch", "garden", "plants"], &[]);
    watch.until("Waiting for changes in garden/plants");
    home.ok(&["record", "put", "garden", "plants", "--id", "bean", "{\"row\":1}"]);
    watch.until("plants/bean");
    watch.presses_ctrl_c();
    assert_eq!(watch.ends().0, 130);
}

const UP: [&str; 5] = ["up", "--network", "solo", "--api", "127.0.0.1:0"];

#[test]
fn a_new_homes_passphrase_is_asked_for_twice_and_opens_it_again() {
    let home = Home::new();
    let mut init = Terminal::open(&home, &["init", "--passphrase"], &[]);
    init.until("Passphrase: ");
    init.types("correct horse");
    init.until("Once more:");
    init.types("correct horse");
    let (exit, shown) = init.ends();
    assert_eq!(exit, 0, "{shown}");
    assert!(!shown.contains("correct"), "what is typed is not shown: {shown}");

    let mut up = Terminal::open(&home, &UP, &[]);
    up.until("Passphrase: ");
    up.types("correct horse");
    up.until("Covey is running");
    up.presses_ctrl_c();
    let (exit, shown) = up.ends();
    assert_eq!(exit, 0, "{shown}");
    assert!(!shown.contains("correct") && !shown.contains("Once more"), "{shown}");
}

#[test]
fn passphrases_that_differ_make_no_home() {
    let home = Home::new();
    let mut init = Terminal::open(&home, &["init", "--passphrase"], &[]);
    init.until("Passphrase: ");
    init.types("correct horse");
    init.until("Once more:");
    init.types("correct house");
    let (exit, shown) = init.ends();
    assert_eq!(exit, 1);
    assert!(shown.contains("the two passphrases differ") && !shown.contains("correct"), "{shown}");
    // Had a home been made, this would say that there is one.
    home.ok(&["init"]);
}

#[test]
fn a_wrong_passphrase_is_refused_with_a_reason_and_spoils_nothing() {
    let home = Home::new();
    let right = home.file("right", "correct horse\n");
    home.ok(&["init", "--passphrase-file", right.to_str().unwrap()]);
    let mut up = Terminal::open(&home, &UP, &[]);
    up.until("Passphrase: ");
    up.types("battery staple");
    let (exit, shown) = up.ends();
    assert_eq!(exit, 1);
    assert!(shown.contains("the passphrase is wrong") && !shown.contains("battery"), "{shown}");

    let mut up = Terminal::open(&home, &UP, &[]);
    up.until("Passphrase: ");
    up.types("correct horse");
    up.until("Covey is running");
    up.presses_ctrl_c();
    assert_eq!(up.ends().0, 0);
}

#[test]
fn ctrl_c_at_the_prompt_ends_the_command() {
    let home = Home::new();
    let mut init = Terminal::open(&home, &["init", "--passphrase"], &[]);
    init.until("Passphrase: ");
    init.presses_ctrl_c();
    let (exit, shown) = init.ends();
    assert_eq!(exit, 130, "{shown}");
    home.ok(&["init"]);
}

#[test]
fn what_can_not_be_taken_back_is_asked_about_and_only_a_yes_counts() {
    let home = Home::new();
    let _node = home.up();
    home.ok(&["space", "create", "garden"]);
    let device = ["device", "revoke", "laptop"];
    for answer in ["n", "", "yep"] {
        let mut revoke = Terminal::open(&home, &device, &[]);
        revoke.until("Put laptop, the device you are sitting at,");
        revoke.until("out of all your spaces? [y/N] ");
        revoke.types(answer);
        let (exit, shown) = revoke.ends();
        assert_eq!(exit, 1, "{shown}");
        assert!(shown.contains("nothing was changed"), "{shown}");
    }
    let mut leave = Terminal::open(&home, &["space", "leave", "garden"], &[]);
    leave.until("Leave garden with all your devices?");
    leave.presses_ctrl_c();
    assert_eq!(leave.ends().0, 130);
    // The question is not the last word: what is not allowed stays so.
    let mut leave = Terminal::open(&home, &["space", "leave", "garden"], &[]);
    leave.until("[y/N] ");
    leave.types("Y");
    let (exit, shown) = leave.ends();
    assert_eq!(exit, 4, "{shown}");
    assert!(shown.contains("you are the last owner"), "{shown}");
}

#[test]
fn a_signal_at_the_prompt_ends_a_node_in_order() {
    let home = Home::new();
    let mut up =
        Terminal::open(&home, &["up", "--passphrase", "--api", "127.0.0.1:0", "--network", "solo"], &[]);
    up.until("Passphrase: ");
    let id = up.child.process_id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    // Ended by itself, with the terminal as it was; not cut off by the signal.
    let (exit, shown) = up.ends();
    assert_eq!(exit, 130, "{shown}");
    assert!(!home.path().exists());
}

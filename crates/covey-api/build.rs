//! Puts the web app, as `make web` builds it into `web/dist`, into the binary.
//!
//! Without it the build goes through, and the node serves a plain page that says how to get the app: whoever works on the
//! engine needs no Node.js. Where the app must not be missing (`make build`, a release) `COVEY_WEB=required` says so.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

fn main() {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo says where the crate is"));
    let dist = root.join("../../web/dist");
    println!("cargo::rerun-if-env-changed=COVEY_WEB");
    // The folder itself is in the repository: a path that isn't there would make cargo run this each time.
    println!("cargo::rerun-if-changed={}", dist.display());
    let mut files = Vec::new();
    if dist.join("index.html").is_file() {
        collect(&dist, &dist, &mut files).expect("web/dist can be read");
    }
    assert!(
        !files.is_empty() || env::var("COVEY_WEB").as_deref() != Ok("required"),
        "the web app is not built: run `make web` first, or unset COVEY_WEB for a node without it"
    );
    files.sort();
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo says where to write")).join("web_assets.rs");
    fs::write(out, table(&files)).expect("the table of files can be written");
}

/// All files under `folder` with the path they are served at; what is there packed only goes with its original.
fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_packed = path.extension().is_some_and(|end| end == "gz");
        let is_note = path.extension().is_some_and(|end| end == "md");
        if path.is_dir() {
            collect(root, &path, files)?;
        } else if !is_packed && !is_note {
            let at =
                path.strip_prefix(root).expect("it was found below").to_string_lossy().replace('\\', "/");
            files.push((format!("/{at}"), path.canonicalize()?));
        }
    }
    Ok(())
}

fn table(files: &[(String, PathBuf)]) -> String {
    let rows: String = files.iter().map(|(at, path)| row(at, path)).collect();
    format!("static FILES: &[File] = &[\n{rows}];\n")
}

fn row(at: &str, path: &Path) -> String {
    let packed = PathBuf::from(format!("{}.gz", path.display()));
    let packed = if packed.is_file() { format!("Some({})", included(&packed)) } else { "None".to_owned() };
    let (kind, plain) = (kind(path), included(path));
    format!("    File {{ path: {at:?}, kind: {kind:?}, plain: {plain}, packed: {packed} }},\n")
}

/// The path is written as a literal of Rust, in which quotes and backslashes are escaped.
fn included(path: &Path) -> String {
    format!("include_bytes!({:?})", path.to_string_lossy())
}

fn kind(path: &Path) -> &'static str {
    match path.extension().and_then(|end| end.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        Some("json" | "webmanifest") => "application/json",
        _ => "application/octet-stream",
    }
}

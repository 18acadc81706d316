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
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo says where to write"));
    let table = keep(&files, &out).expect("the files of the app can be kept beside what is built");
    fs::write(out.join("web_assets.rs"), table).expect("the table of files can be written");
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
            let at = path.strip_prefix(root).expect("it was found below").to_string_lossy();
            files.push((format!("/{}", at.replace('\\', "/")), path));
        }
    }
    Ok(())
}

/// Copies the files, so that an app that is built anew meanwhile doesn't pull them away; gives the table of them.
fn keep(files: &[(String, PathBuf)], out: &Path) -> io::Result<String> {
    let kept = out.join("web");
    if kept.exists() {
        fs::remove_dir_all(&kept)?;
    }
    fs::create_dir(&kept)?;
    let mut rows = Vec::new();
    for (number, (at, path)) in files.iter().enumerate() {
        fs::copy(path, kept.join(number.to_string()))?;
        let packed = PathBuf::from(format!("{}.gz", path.display()));
        let has_packed = packed.is_file();
        if has_packed {
            fs::copy(&packed, kept.join(format!("{number}.gz")))?;
        }
        let included = |name: String| format!("include_bytes!(concat!(env!(\"OUT_DIR\"), \"/web/{name}\"))");
        let packed = if has_packed {
            format!("Some({})", included(format!("{number}.gz")))
        } else {
            "None".to_owned()
        };
        let (kind, plain) = (kind(path), included(number.to_string()));
        rows.push(format!(
            "    File {{ path: {at:?}, kind: {kind:?}, plain: {plain}, packed: {packed} }},\n"
        ));
    }
    Ok(format!("static FILES: &[File] = &[\n{}];\n", rows.concat()))
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

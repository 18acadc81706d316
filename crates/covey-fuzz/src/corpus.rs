//! The committed inputs of the targets: `fuzz/corpus/TARGET/NAME`, where cargo-fuzz looks for them.
//!
//! Files whose names begin with `seed-` are made by [`crate::seeds`]; the others were found by fuzzing, because they
//! reach code that no other file does.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{Target, seeds};

/// How the files begin that [`write_seeds`] makes.
const SEED: &str = "seed-";

/// The folder with the inputs of a target.
pub fn folder(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target.name)
}

/// The inputs of a target, by file name.
///
/// # Errors
/// When there is no such folder, or a file can't be read.
pub fn read(target: &Target) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut inputs = Vec::new();
    for entry in fs::read_dir(folder(target))? {
        let entry = entry?;
        inputs.push((entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?));
    }
    inputs.sort();
    Ok(inputs)
}

/// Makes the seeds of a target anew. What was found by fuzzing stays.
///
/// # Errors
/// When a file can't be written.
pub fn write_seeds(target: &Target) -> io::Result<usize> {
    let folder = folder(target);
    fs::create_dir_all(&folder)?;
    for (name, _) in read(target)?.iter().filter(|(name, _)| name.starts_with(SEED)) {
        fs::remove_file(folder.join(name))?;
    }
    let seeds = seeds::of(target.name);
    for (name, bytes) in &seeds {
        fs::write(folder.join(format!("{SEED}{name}")), bytes)?;
    }
    Ok(seeds.len())
}

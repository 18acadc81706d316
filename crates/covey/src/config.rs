//! `HOME/config.toml`: read with care, written without disturbing what people wrote into it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use toml_edit::{Array, DocumentMut, Item, Value};

use crate::{
    diag::Failure,
    settings::{KEYS, Key},
};

/// Longest config file that is read: a hundred times any sensible one.
const MAX_CONFIG_BYTES: u64 = 256 << 10;

/// The config file, or its absence.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    path: PathBuf,
    document: DocumentMut,
}

impl ConfigFile {
    /// Reads the file of this home. No file is an empty file; a key that nobody knows is an error, because
    /// it is most likely a slip that would otherwise go unnoticed.
    pub(crate) fn read(home: &Path) -> Result<Self, Failure> {
        let path = home.join("config.toml");
        let text = match read_bounded(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                return Err(Failure::failed(format!("the config file {} could not be read", path.display()))
                    .because(error));
            }
        };
        let document: DocumentMut = text
            .parse()
            .map_err(|error| Failure::failed(format!("{} is not TOML", path.display())).because(error))?;
        let known = |name: &str| KEYS.iter().any(|key| key.name == name);
        if let Some((name, _)) = document.iter().find(|(name, _)| !known(name)) {
            let failure = Failure::failed(format!("{} has an unknown setting {name:?}", path.display()));
            return Err(
                failure.hint("`covey config list` prints the settings there are, once this one is gone")
            );
        }
        Ok(Self { path, document })
    }

    /// Where it is, or would be.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What the file says about a setting.
    pub(crate) fn values(&self, key: Key) -> Result<Option<Vec<String>>, Failure> {
        let Some(item) = self.document.get(key.name) else { return Ok(None) };
        let values = match (key.is_list, item) {
            (true, Item::Value(Value::Array(items))) => {
                items.iter().map(|item| item.as_str().map(str::to_owned)).collect()
            }
            (_, Item::Value(Value::String(text))) => Some(key.split(text.value())),
            (false, Item::Value(Value::Integer(number))) => Some(vec![number.value().to_string()]),
            _ => None,
        };
        let wanted = if key.is_list { "a list of texts" } else { "a text" };
        let wrong = || Failure::failed(format!("{}: {} must be {wanted}", self.path.display(), key.name));
        values.ok_or_else(wrong).map(Some)
    }

    /// Writes one setting, keeping comments and order. The file is replaced as a whole or not at all.
    pub(crate) fn set(&mut self, key: Key, values: &[String]) -> Result<(), Failure> {
        let mut value: Value = if key.is_list {
            Array::from_iter(values).into()
        } else {
            values.first().map(String::as_str).unwrap_or_default().into()
        };
        if let Some(Item::Value(old)) = self.document.get(key.name) {
            *value.decor_mut() = old.decor().clone();
        }
        self.document[key.name] = Item::Value(value);
        self.write().map_err(|error| {
            Failure::failed(format!("the config file {} could not be written", self.path.display()))
                .because(error)
        })
    }

    fn write(&self) -> io::Result<()> {
        if let Some(home) = self.path.parent() {
            make_home(home)?;
        }
        write_private(&self.path, self.document.to_string().as_bytes())
    }
}

fn read_bounded(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > MAX_CONFIG_BYTES {
        return Err(io::Error::other(format!("it is longer than {MAX_CONFIG_BYTES} bytes")));
    }
    fs::read_to_string(path)
}

/// Makes the home folder, for its owner alone.
fn make_home(home: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(home)
}

/// Replaces a file as a whole, readable by its owner alone from the first moment.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    // One that a killed process of the same id left behind.
    let _ = fs::remove_file(&temporary);
    let written = write_new(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    io::Write::write_all(&mut file, bytes)?;
    file.sync_all()
}

/// The same; where the disk has no room for a second file, an old one is overwritten where it stands. For what is of no
/// use after a crash anyway.
pub(crate) fn write_private_over(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match write_private(path, bytes) {
        Err(error) if is_full(&error) => overwrite(path, bytes).map_err(|_| error),
        written => written,
    }
}

/// Whether there was no room on the disk.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn overwrite(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // Not emptied first: the room that it has would be gone.
    let mut file = fs::OpenOptions::new().write(true).open(path)?;
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    io::Write::write_all(&mut file, bytes)?;
    file.set_len(bytes.len() as u64)?;
    file.sync_all()
}

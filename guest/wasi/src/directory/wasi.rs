//! A directory that the host has opened for the component.
//!
//! Files are opened here and not by std, which asks for powers over directories that not every host has.

use std::{
    io::{self, ErrorKind},
    rc::Rc,
};

use wasip2::filesystem::{
    preopens,
    types::{Descriptor, DescriptorFlags, DescriptorType, ErrorCode, OpenFlags, PathFlags},
};

use super::Directory;

/// Bytes that are read or written at once.
const CHUNK: u64 = 1 << 20;
const CHUNK_BYTES: usize = 1 << 20;

/// A directory at or below one that the host has opened.
pub(crate) struct Preopened {
    root: Rc<Descriptor>,
    /// The way from there, with a slash at its end; empty if that is the directory itself.
    prefix: String,
    shown: String,
}

impl Preopened {
    /// The directory at `path`, which is made if the host has opened one above it.
    ///
    /// # Errors
    /// A sentence that says what to do, if the host has opened no such directory, or for reading alone.
    pub(crate) fn open(path: &str) -> Result<Self, String> {
        let (root, below) = place(path)?;
        let directory = Self {
            root: Rc::new(root),
            prefix: if below.is_empty() { String::new() } else { format!("{below}/") },
            shown: path.to_owned(),
        };
        directory.make().map_err(|cause| format!("{path}: {cause}; let the plugin write there"))?;
        Ok(directory)
    }

    /// Makes the directories below the one that the host has opened.
    fn make(&self) -> io::Result<()> {
        let mut way = String::new();
        for name in self.prefix.split('/').filter(|name| !name.is_empty()) {
            way.push_str(name);
            match self.root.create_directory_at(&way) {
                Ok(()) | Err(ErrorCode::Exist) => {}
                // Said of what exists where nothing may be made, too.
                Err(cause) if self.root.stat_at(PathFlags::SYMLINK_FOLLOW, &way).is_err() => {
                    return Err(error(cause));
                }
                Err(_) => {}
            }
            way.push('/');
        }
        Ok(())
    }

    /// How the operator calls it.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    fn at(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn open_at(&self, name: &str, how: OpenFlags, powers: DescriptorFlags) -> Result<Descriptor, ErrorCode> {
        // No link is followed: what one leads to is not ours.
        self.root.open_at(PathFlags::empty(), &self.at(name), how, powers)
    }

    fn write_new(&self, name: &str, bytes: &[u8], how: OpenFlags) -> Result<Descriptor, ErrorCode> {
        let file = self.open_at(name, how, DescriptorFlags::WRITE)?;
        write_at(&file, 0, bytes)?;
        Ok(file)
    }
}

/// Reads a file that the agent names, in a directory that the host has opened; at most `limit` bytes.
pub(crate) fn read_any(path: &str, limit: u64) -> Result<Vec<u8>, String> {
    let (root, below) = place(path)?;
    let open = root.open_at(PathFlags::empty(), &below, OpenFlags::empty(), DescriptorFlags::READ);
    let file = open.map_err(|cause| error(cause).to_string())?;
    let status = file.stat().map_err(|cause| error(cause).to_string())?;
    if status.type_ != DescriptorType::RegularFile {
        return Err("it is not a regular file".to_owned());
    }
    if status.size > limit {
        return Err(format!("it has {} bytes, and at most {limit} can be sent", status.size));
    }
    read_all(&file, limit).map_err(|cause| cause.to_string())
}

/// The opened directory that `path` is in, and the way from there.
fn place(path: &str) -> Result<(Descriptor, String), String> {
    if path.split('/').any(|name| name == "..") {
        return Err(format!("{path} leads upwards (..), which no host allows"));
    }
    let wanted = plain(path);
    let mut best: Option<(Descriptor, String, usize)> = None;
    let mut opened = Vec::new();
    for (descriptor, name) in preopens::get_directories() {
        let root = plain(&name);
        if let Some(below) = below(&wanted, &root)
            && best.as_ref().is_none_or(|(_, _, length)| root.len() > *length)
        {
            best = Some((descriptor, below, root.len()));
        }
        opened.push(name);
    }
    match best {
        Some((descriptor, below, _)) => Ok((descriptor, below)),
        None => {
            let opened = if opened.is_empty() { "no directory".to_owned() } else { opened.join(", ") };
            Err(format!(
                "the host of this plugin has not opened {path} for it, but {opened}: let the plugin read and write \
                 that directory"
            ))
        }
    }
}

/// A path without what means nothing.
fn plain(path: &str) -> String {
    let names: Vec<&str> = path.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
    format!("{}{}", if path.starts_with('/') { "/" } else { "" }, names.join("/"))
}

fn below(path: &str, root: &str) -> Option<String> {
    if path == root {
        return Some(String::new());
    }
    let rest = path.strip_prefix(root)?;
    if root.is_empty() {
        return (!rest.starts_with('/')).then(|| rest.to_owned());
    }
    if root.ends_with('/') { Some(rest.to_owned()) } else { rest.strip_prefix('/').map(str::to_owned) }
}

fn read_all(file: &Descriptor, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let offset = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if offset > limit {
            return Err(io::Error::other(format!("is longer than {limit} bytes")));
        }
        let (mut read, ended) = file.read(CHUNK, offset).map_err(error)?;
        let is_empty = read.is_empty();
        bytes.append(&mut read);
        if ended || is_empty {
            return Ok(bytes);
        }
    }
}

fn write_at(file: &Descriptor, start: u64, bytes: &[u8]) -> Result<(), ErrorCode> {
    let mut offset = start;
    for chunk in bytes.chunks(CHUNK_BYTES) {
        let mut rest = chunk;
        while !rest.is_empty() {
            let written = file.write(rest, offset)?;
            let count = usize::try_from(written).unwrap_or(usize::MAX);
            if count == 0 {
                return Err(ErrorCode::Io);
            }
            offset = offset.saturating_add(written);
            rest = rest.get(count..).unwrap_or_default();
        }
    }
    Ok(())
}

impl Directory for Preopened {
    fn read(&self, name: &str, limit: u64) -> io::Result<Option<Vec<u8>>> {
        match self.open_at(name, OpenFlags::empty(), DescriptorFlags::READ) {
            Ok(file) => read_all(&file, limit).map(Some),
            Err(ErrorCode::NoEntry) => Ok(None),
            Err(cause) => Err(error(cause)),
        }
    }

    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<bool> {
        match self.write_new(name, bytes, OpenFlags::CREATE | OpenFlags::EXCLUSIVE) {
            Ok(_) => Ok(true),
            Err(ErrorCode::Exist) => Ok(false),
            Err(cause) => Err(error(cause)),
        }
    }

    fn overwrite(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.write_new(name, bytes, OpenFlags::empty()).map(drop).map_err(error)
    }

    fn append(&self, name: &str, end: u64, bytes: &[u8]) -> io::Result<()> {
        let file = self.open_at(name, OpenFlags::empty(), DescriptorFlags::WRITE).map_err(error)?;
        if file.stat().map_err(error)?.size != end {
            return Err(io::Error::other("another program has changed it"));
        }
        write_at(&file, end, bytes).map_err(error)
    }

    fn truncate(&self, name: &str, length: u64) -> io::Result<()> {
        let file = self.open_at(name, OpenFlags::empty(), DescriptorFlags::WRITE).map_err(error)?;
        file.set_size(length).map_err(error)
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        let file = self.open_at(name, OpenFlags::empty(), DescriptorFlags::WRITE).map_err(error)?;
        file.sync_data().map_err(error)
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let draft = format!("{name}.new");
        let file = self.write_new(&draft, bytes, OpenFlags::CREATE | OpenFlags::TRUNCATE).map_err(error)?;
        file.sync_data().map_err(error)?;
        drop(file);
        self.root.rename_at(&self.at(&draft), &self.root, &self.at(name)).map_err(error)?;
        // Not every host can sync a directory; those that can have the name on disk now.
        let _ = self.root.sync();
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<bool> {
        match self.root.rename_at(&self.at(from), &self.root, &self.at(to)) {
            Ok(()) => Ok(true),
            Err(ErrorCode::NoEntry) => Ok(false),
            Err(cause) => Err(error(cause)),
        }
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match self.root.unlink_file_at(&self.at(name)) {
            Ok(()) | Err(ErrorCode::NoEntry) => Ok(()),
            Err(cause) => Err(error(cause)),
        }
    }
}

/// The kinds that callers tell apart; the others by the name that WASI has for them.
#[expect(clippy::wildcard_enum_match_arm, reason = "the others are told by their names")]
fn error(code: ErrorCode) -> io::Error {
    let kind = match code {
        ErrorCode::Access | ErrorCode::NotPermitted => ErrorKind::PermissionDenied,
        ErrorCode::NoEntry => ErrorKind::NotFound,
        ErrorCode::InsufficientSpace => ErrorKind::StorageFull,
        ErrorCode::Quota => ErrorKind::QuotaExceeded,
        ErrorCode::ReadOnly => ErrorKind::ReadOnlyFilesystem,
        ErrorCode::Loop => return io::Error::other("is a link, which is not followed"),
        _ => return io::Error::other(code.name().to_owned()),
    };
    kind.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_below_what_the_host_has_opened_or_not_there() {
        for (path, root, expected) in [
            ("/state", "/state", Some("")),
            ("/state/a/b", "/state/", Some("a/b")),
            ("/state//a/./b/", "/state", Some("a/b")),
            ("/a", "/", Some("a")),
            ("/stateless", "/state", None),
            ("a/b", ".", Some("a/b")),
            ("/a", ".", None),
            ("state", "/state", None),
        ] {
            assert_eq!(below(&plain(path), &plain(root)).as_deref(), expected, "{path} in {root}");
        }
    }
}

//! Where state is kept: the directory, its disk, and who holds the locks in it.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use molecule_runtime::inspect::{self, Lock};
use rustix::{
    fs::{Access, AtFlags, CWD, StatVfsMountFlags, accessat, statvfs},
    io::Errno,
};
use tokio::task;

use super::{
    Found, Scene,
    catalog::{
        DIRECTORY_ABSENT, DIRECTORY_FOREIGN, DIRECTORY_NONE, DIRECTORY_OPEN, DIRECTORY_READ_ONLY,
        DIRECTORY_UNWRITABLE, DIRECTORY_USABLE, DISK_FULL, DISK_LOW, DISK_REMOTE, DISK_TEMPORARY, LOCK_HELD,
        LOCK_SILENT, LOCK_UNKNOWN,
    },
};

/// Bits of a mode that let others in.
const OTHERS: u32 = 0o077;
/// Below this nothing can be relied on.
const FULL_BYTES: u64 = 1 << 20;
const LOW_BYTES: u64 = 100 << 20;

pub(super) async fn look(scene: &Scene) -> Vec<Found> {
    let Some(directory) = scene.directory.clone() else {
        return vec![DIRECTORY_NONE.seen("neither CONFIGS_DIR nor HOME names a directory")];
    };
    // A file system that hangs holds up no other area.
    let looked = task::spawn_blocking(move || state(&directory)).await;
    let mut found = looked.unwrap_or_default();
    for place in &scene.places {
        let lock = inspect::lock(place);
        let about = scene.named(&place.workspace);
        found.extend(lock.and_then(|lock| held(scene, &place.workspace, &lock)).map(|one| one.about(about)));
    }
    found
}

fn state(directory: &Path) -> Vec<Found> {
    let shown = directory.display();
    if !directory.exists() {
        let above = directory.ancestors().find(|above| above.exists()).unwrap_or(directory);
        let mut found = disk(above);
        if found.is_empty() && !is_writable(above) {
            found.push(DIRECTORY_UNWRITABLE.seen(format!("{shown} cannot be made in {}", above.display())));
        } else {
            found.push(DIRECTORY_ABSENT.seen(format!("{shown} does not exist")));
        }
        return found;
    }
    let mut found = owner(directory);
    let disk = disk(directory);
    let is_read_only = disk.iter().any(|one| one.finding == &DIRECTORY_READ_ONLY);
    found.extend(disk);
    if !is_read_only {
        found.push(trial(directory));
    }
    found
}

/// Whose it is, and who else gets in.
fn owner(directory: &Path) -> Vec<Found> {
    let Ok(metadata) = fs::metadata(directory) else { return Vec::new() };
    let (shown, mode) = (directory.display(), metadata.mode() & 0o7777);
    let mut found = Vec::new();
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        found.push(DIRECTORY_FOREIGN.seen(format!("{shown} belongs to user {}", metadata.uid())));
    }
    if mode & OTHERS != 0 {
        found.push(DIRECTORY_OPEN.seen(format!("{shown} has the mode {mode:04o}")));
    }
    found
}

/// The file system that a directory is on.
fn disk(directory: &Path) -> Vec<Found> {
    let Ok(disk) = statvfs(directory) else { return Vec::new() };
    let (shown, mut found) = (directory.display(), Vec::new());
    if disk.f_flag.contains(StatVfsMountFlags::RDONLY) {
        found
            .push(DIRECTORY_READ_ONLY.seen(format!("{shown} is on a file system that is mounted read-only")));
        return found;
    }
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    // Some file systems do not count.
    if disk.f_blocks > 0 && free < FULL_BYTES {
        found.push(DISK_FULL.seen(format!("{free} bytes are free for {shown}")));
    } else if disk.f_blocks > 0 && free < LOW_BYTES {
        found.push(DISK_LOW.seen(format!("{} MiB are free for {shown}", free >> 20)));
    }
    match kind(directory) {
        Kind::Local => {}
        Kind::Memory(name) => found.push(DISK_TEMPORARY.seen(format!("{shown} is on {name}"))),
        Kind::Remote(name) => found.push(DISK_REMOTE.seen(format!("{shown} is on {name}"))),
    }
    found
}

/// What a file system keeps its files in.
enum Kind {
    Local,
    Memory(&'static str),
    Remote(&'static str),
}

/// By the numbers of `statfs(2)`.
#[cfg(target_os = "linux")]
fn kind(directory: &Path) -> Kind {
    const MEMORY: [(u64, &str); 2] = [(0x0102_1994, "tmpfs"), (0x8584_58f6, "ramfs")];
    const REMOTE: [(u64, &str); 8] = [
        (0x6969, "NFS"),
        (0x517b, "SMB"),
        (0xff53_4d42, "CIFS"),
        (0xfe53_4d42, "SMB2"),
        (0x0102_1997, "9p"),
        (0x00c3_6400, "Ceph"),
        (0x5346_414f, "AFS"),
        (0x6573_5546, "FUSE"),
    ];
    let Ok(seen) = rustix::fs::statfs(directory) else { return Kind::Local };
    // Where the field is narrower than its numbers they are negative.
    let number = u64::from(seen.f_type as u32);
    let named = |table: &[(u64, &'static str)]| {
        table.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
    };
    named(&MEMORY).map(Kind::Memory).or_else(|| named(&REMOTE).map(Kind::Remote)).unwrap_or(Kind::Local)
}

#[cfg(not(target_os = "linux"))]
fn kind(_directory: &Path) -> Kind {
    Kind::Local
}

/// Makes a file, and removes it.
fn trial(directory: &Path) -> Found {
    let shown = directory.display();
    match inspect::try_to_write(directory) {
        Ok(()) => DIRECTORY_USABLE.seen(format!("{shown} can be written")),
        Err(cause) if Errno::from_io_error(&cause) == Some(Errno::NOSPC) => {
            DISK_FULL.seen(format!("{shown}: {cause}"))
        }
        Err(cause) => DIRECTORY_UNWRITABLE.seen(format!("{shown}: {cause}")),
    }
}

fn is_writable(directory: &Path) -> bool {
    let access = Access::WRITE_OK | Access::EXEC_OK;
    accessat(CWD, directory, access, AtFlags::EACCESS).is_ok()
}

/// Who holds the lock of a workspace, if a process does.
fn held(scene: &Scene, workspace: &str, lock: &Lock) -> Option<Found> {
    match lock {
        Lock::Free => None,
        Lock::Unknown { path, why } => Some(LOCK_UNKNOWN.seen(format!("{}: {why}", path.display()))),
        Lock::Held { process, holder } => {
            let asked = scene.processes.iter().find(|asked| asked.pid.is_some() && asked.pid == *process);
            let client = asked.and_then(|asked| asked.report.as_ref().ok()?.client.clone());
            let client = client.map(|client| format!(", for {} {}", client.name, client.version));
            let seen = format!("workspace {workspace}: {holder}{}", client.unwrap_or_default());
            let is_silent = asked.is_some_and(|asked| asked.report.is_err());
            Some(if is_silent { LOCK_SILENT.seen(seen) } else { LOCK_HELD.seen(seen) })
        }
    }
}

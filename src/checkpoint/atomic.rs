//! A file is either the old one or the new one, whatever happens while it is written.

use crate::error::{Error, Result};
use std::{
    fs::{self, File},
    io::{self, BufWriter},
    path::Path,
};

/// What the names of files begin with that are not whole yet.
const UNFINISHED: &str = ".unfinished-";

/// Removes the files in `dir` that a process was killed over. Nobody else may be writing there.
///
/// # Errors
/// When the system refuses.
pub fn remove_unfinished(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir).map_err(Error::io("read", dir))? {
        let path = entry.map_err(Error::io("read", dir))?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(UNFINISHED)) {
            fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        }
    }
    Ok(())
}

/// Replaces `path` by what `fill` writes: into a temporary file beside it, synced, then renamed.
///
/// An error that `fill` wraps with [`io::Error::other`] around an [`enum@Error`] is returned as that error.
///
/// # Errors
/// When `fill` or the system fails. The old file is then as it was, and the temporary one is gone.
pub fn write_atomically(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<()> {
    let dir = match path.parent() {
        Some(dir) if dir != Path::new("") => dir,
        _ => Path::new("."),
    };
    let mut options = tempfile::Builder::new();
    options.prefix(UNFINISHED);
    #[cfg(unix)]
    options.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)); // less the umask, like any file
    let (file, temporary) = options.tempfile_in(dir).map_err(Error::io("create", path))?.into_parts();
    let mut writer = BufWriter::with_capacity(1 << 20, file);
    fill(&mut writer)
        .and_then(|()| writer.into_inner().map_err(io::IntoInnerError::into_error))
        .and_then(|file| file.sync_all())
        .map_err(|error| error.downcast::<Error>().unwrap_or_else(Error::io("write", path)))?;
    temporary.persist(path).map_err(|error| Error::io("rename", path)(error.error))?;
    #[cfg(unix)] // elsewhere a directory cannot be opened, and a rename is durable by itself
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(Error::io("sync", dir))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, io::Write, mem};

    #[test]
    fn what_a_killed_process_leaves_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        write_atomically(&dir.path().join("state"), |file| file.write_all(b"whole")).unwrap();
        // One that is never renamed, nor removed.
        let unfinished = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(dir.path()).unwrap();
        mem::forget(unfinished);
        remove_unfinished(dir.path()).unwrap();
        let left: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["state"]);
    }

    #[test]
    fn a_failing_write_leaves_the_old_file_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        write_atomically(&path, |file| file.write_all(b"old")).unwrap();
        let full = write_atomically(&path, |file| {
            file.write_all(&vec![1; 3 << 20])?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert!(matches!(full, Err(Error::Io { action: "write", .. })), "{full:?}");
        let ours = write_atomically(&path, |_| Err(io::Error::other(Error::format("a", "b", "c", "d"))));
        assert!(matches!(ours, Err(Error::Format { .. })), "{ours:?}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);

        write_atomically(&path, |file| file.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert!(write_atomically(&dir.path().join("no/such/dir"), |_| Ok(())).is_err());
    }
}

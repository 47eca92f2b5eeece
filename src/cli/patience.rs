//! A full disk loses nothing that was trained: it waits until there is room.

use super::print::note;
use rosa_kernels::error::Result;
use std::{thread::sleep, time::Duration};

/// The time between two tries.
pub(super) const PAUSE: Duration = Duration::from_secs(10);

/// What `write` returns, which is called again after a `pause` as long as there is no room for a file.
pub(super) fn once_there_is_room<T>(pause: Duration, mut write: impl FnMut() -> Result<T>) -> Result<T> {
    let mut waits = false;
    loop {
        match write() {
            Err(error) if error.is_lack_of_room() => {
                if !waits {
                    note!("\n{error}; waiting for room, nothing is lost as long as this runs");
                }
                waits = true;
                sleep(pause);
            }
            result => {
                if waits {
                    note!("there is room again");
                }
                return result;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rosa_kernels::error::Error;
    use std::io::ErrorKind;

    #[test]
    fn a_full_disk_is_waited_for_and_nothing_else() {
        let tries = |kinds: &[ErrorKind]| {
            let mut kinds = kinds.iter();
            let result = once_there_is_room(Duration::ZERO, || match kinds.next() {
                Some(&kind) => Err(Error::io("write", "adapter")(kind.into())),
                None => Ok("written"),
            });
            (result, kinds.len())
        };
        let (full, denied) = (ErrorKind::StorageFull, ErrorKind::PermissionDenied);
        assert!(matches!(tries(&[]), (Ok("written"), 0)));
        assert!(matches!(tries(&[full, ErrorKind::QuotaExceeded, full]), (Ok("written"), 0)));
        let refused = tries(&[full, denied, full]);
        assert!(
            matches!(&refused, (Err(Error::Io { source, .. }), 1) if source.kind() == denied),
            "{refused:?}"
        );
    }
}

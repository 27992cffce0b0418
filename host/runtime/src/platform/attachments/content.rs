//! The bytes of one file, exactly as many as were announced.

use std::{fs, io};

use bytes::{Bytes, BytesMut};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use tokio::{fs::File, io::AsyncReadExt};

/// What is read at once.
const CHUNK: u64 = 64 << 10;

struct Source {
    file: File,
    left: u64,
    path: String,
    ended: bool,
}

/// The content of `file`, which has `length` bytes. If it has more or fewer by the time it is read, the
/// last bytes are an error: whoever receives the rest can tell that it is not whole.
pub(super) fn exactly(file: fs::File, length: u64, path: String) -> BoxStream<'static, io::Result<Bytes>> {
    let source = Source { file: File::from_std(file), left: length, path, ended: false };
    stream::try_unfold(source, Source::read).boxed()
}

impl Source {
    async fn read(mut self) -> io::Result<Option<(Bytes, Self)>> {
        if self.ended {
            return Ok(None);
        }
        let mut chunk = BytesMut::with_capacity(usize::try_from(self.left.min(CHUNK)).unwrap_or(0));
        if self.left > 0 && (&mut self.file).take(self.left.min(CHUNK)).read_buf(&mut chunk).await? == 0 {
            return Err(self.changed());
        }
        self.left -= chunk.len() as u64;
        // The last bytes are given away only if the file ends with them.
        if self.left == 0 {
            if self.file.read(&mut [0]).await? > 0 {
                return Err(self.changed());
            }
            self.ended = true;
        }
        Ok(Some((chunk.freeze(), self)))
    }

    fn changed(&self) -> io::Error {
        io::Error::other(format!("{} changed while it was read", self.path))
    }
}

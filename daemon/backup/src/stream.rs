//! The content on its way: encrypted in chunks (STREAM over AES-256-GCM), so that neither side holds all of it, and no
//! chunk can be left out, moved or cut off unnoticed.

use std::io::{self, Read, Write};

use aead_stream::{DecryptorBE32, EncryptorBE32};
use aes_gcm::{Aes256Gcm, aead::Payload};
use sha2::{Digest as _, Sha256};

use crate::seal::ContentKey;

/// Plain bytes of every chunk but the last, which has fewer or as many.
const CHUNK: usize = 64 * 1024;
const TAG: usize = 16;

/// What every chunk is bound to: the head of its file.
fn context(head: &[u8]) -> [u8; 32] {
    Sha256::digest(head).into()
}

/// The same key is never used for another file.
const NONCE: [u8; 7] = [0; 7];

/// Encrypts what is written to it.
pub(crate) struct Encrypting<W> {
    stream: EncryptorBE32<Aes256Gcm>,
    context: [u8; 32],
    chunk: Vec<u8>,
    to: W,
}

impl<W: Write> Encrypting<W> {
    pub(crate) fn new(key: &ContentKey, head: &[u8], to: W) -> Self {
        let stream = EncryptorBE32::new((&**key).into(), (&NONCE).into());
        Self { stream, context: context(head), chunk: Vec::with_capacity(CHUNK), to }
    }

    /// Writes what is left, and gives back what was written to.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        let last = Payload { msg: &self.chunk, aad: &self.context };
        let sealed =
            self.stream.encrypt_last(last).map_err(|_| io::Error::other("it cannot be encrypted"))?;
        self.to.write_all(&sealed)?;
        Ok(self.to)
    }
}

impl<W: Write> Write for Encrypting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full one may be the last, which is marked.
        if self.chunk.len() == CHUNK && !bytes.is_empty() {
            let next = Payload { msg: &self.chunk, aad: &self.context };
            let sealed =
                self.stream.encrypt_next(next).map_err(|_| io::Error::other("it cannot be encrypted"))?;
            self.to.write_all(&sealed)?;
            self.chunk.clear();
        }
        let taken = bytes.len().min(CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Decrypts what is read from another.
pub(crate) struct Decrypting<R> {
    /// None after the last chunk.
    stream: Option<DecryptorBE32<Aes256Gcm>>,
    context: [u8; 32],
    from: R,
    /// Encrypted bytes that come after this chunk.
    ahead: Vec<u8>,
    plain: Vec<u8>,
    at: usize,
}

impl<R: Read> Decrypting<R> {
    /// Of a content that ends where `from` ends.
    pub(crate) fn new(key: &ContentKey, head: &[u8], from: R) -> Self {
        let stream = DecryptorBE32::new((&**key).into(), (&NONCE).into());
        Self {
            stream: Some(stream),
            context: context(head),
            from,
            ahead: Vec::new(),
            plain: Vec::new(),
            at: 0,
        }
    }

    fn next(&mut self) -> io::Result<()> {
        let Some(mut stream) = self.stream.take() else { return Ok(()) };
        let damaged = |_| io::Error::new(io::ErrorKind::InvalidData, "it was changed, or cut off");
        let whole = (CHUNK + TAG) as u64;
        // One byte more shows whether another follows.
        let wanted = whole + 1 - self.ahead.len() as u64;
        self.from.by_ref().take(wanted).read_to_end(&mut self.ahead)?;
        self.at = 0;
        if self.ahead.len() as u64 > whole {
            let rest = self.ahead.split_off(CHUNK + TAG);
            let sealed = std::mem::replace(&mut self.ahead, rest);
            self.plain =
                stream.decrypt_next(Payload { msg: &sealed, aad: &self.context }).map_err(damaged)?;
            self.stream = Some(stream);
        } else {
            let sealed = std::mem::take(&mut self.ahead);
            self.plain =
                stream.decrypt_last(Payload { msg: &sealed, aad: &self.context }).map_err(damaged)?;
        }
        Ok(())
    }
}

impl<R: Read> Read for Decrypting<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.plain.len() && self.stream.is_some() {
            self.next()?;
        }
        let there = &self.plain[self.at..];
        let taken = there.len().min(into.len());
        into[..taken].copy_from_slice(&there[..taken]);
        self.at += taken;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encrypted(key: &ContentKey, plain: &[u8]) -> Vec<u8> {
        let mut to = Encrypting::new(key, b"head", Vec::new());
        to.write_all(plain).unwrap();
        to.finish().unwrap()
    }

    fn decrypted(key: &ContentKey, head: &[u8], sealed: &[u8]) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        Decrypting::new(key, head, sealed).read_to_end(&mut plain).map(|_| plain)
    }

    #[test]
    fn every_length_reads_back_and_nothing_else_does() {
        let key = ContentKey::new([7; 32]);
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 5] {
            let plain: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            let sealed = encrypted(&key, &plain);
            assert_eq!(decrypted(&key, b"head", &sealed).unwrap(), plain, "{length}");
            assert!(decrypted(&key, b"other", &sealed).is_err());
            assert!(decrypted(&ContentKey::new([8; 32]), b"head", &sealed).is_err());
            for cut in [0, 1, sealed.len() / 2, sealed.len() - 1] {
                assert!(decrypted(&key, b"head", &sealed[..cut]).is_err(), "{length} cut at {cut}");
            }
            let longer = [sealed.as_slice(), b"x"].concat();
            assert!(decrypted(&key, b"head", &longer).is_err());
            // The last chunk left out.
            if length > CHUNK {
                assert!(decrypted(&key, b"head", &sealed[..CHUNK + TAG]).is_err());
            }
        }
    }
}

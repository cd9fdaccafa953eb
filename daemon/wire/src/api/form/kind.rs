//! What a file is: by its first bytes, and by what it is called.

use std::fmt;

/// Bytes of a file that suffice to see what it is.
pub(super) const FIRST: usize = 12;

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// RIFF with WAVE.
    Wav,
    /// MPEG audio, layer 1 to 3.
    Mp3,
    /// An MPEG stream.
    Mpeg,
    /// AAC without a container.
    Aac,
    /// FLAC.
    Flac,
    /// Ogg, of whatever codec.
    Ogg,
    /// WebM and Matroska.
    Webm,
    /// MPEG-4: M4A, MP4, QuickTime.
    Mp4,
    /// PNG.
    Png,
    /// JPEG.
    Jpeg,
    /// RIFF with WebP.
    Webp,
}

impl Kind {
    pub(super) const AUDIO: &'static [Self] =
        &[Self::Wav, Self::Mp3, Self::Mpeg, Self::Aac, Self::Flac, Self::Ogg, Self::Webm, Self::Mp4];
    pub(super) const IMAGES: &'static [Self] = &[Self::Png, Self::Jpeg, Self::Webp];

    /// What a file is that begins with these bytes.
    pub(super) fn of_bytes(first: &[u8]) -> Option<Self> {
        Some(match first {
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => Self::Wav,
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Self::Webp,
            [b'f', b'L', b'a', b'C', ..] => Self::Flac,
            [b'O', b'g', b'g', b'S', ..] => Self::Ogg,
            [0x1a, 0x45, 0xdf, 0xa3, ..] => Self::Webm,
            [_, _, _, _, b'f', b't', b'y', b'p', ..] => Self::Mp4,
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Self::Png,
            [0xff, 0xd8, 0xff, ..] => Self::Jpeg,
            [b'I', b'D', b'3', ..] => Self::Mp3,
            [0, 0, 1, 0xba | 0xb3, ..] => Self::Mpeg,
            // The synchronisation of a frame, and a layer that is one; AAC has none.
            [0xff, second, ..] if second & 0xf6 == 0xf0 => Self::Aac,
            [0xff, second, ..] if second & 0xe0 == 0xe0 && second & 0x06 != 0 => Self::Mp3,
            _ => return None,
        })
    }

    /// The type that the node is given.
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Wav => "audio/wav",
            Self::Mp3 => "audio/mpeg",
            Self::Mpeg => "video/mpeg",
            Self::Aac => "audio/aac",
            Self::Flac => "audio/flac",
            Self::Ogg => "audio/ogg",
            Self::Webm => "audio/webm",
            Self::Mp4 => "audio/mp4",
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wav => "WAV",
            Self::Mp3 => "MP3",
            Self::Mpeg => "MPEG",
            Self::Aac => "AAC",
            Self::Flac => "FLAC",
            Self::Ogg => "OGG",
            Self::Webm => "WebM",
            Self::Mp4 => "MP4",
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::Webp => "WebP",
        })
    }
}

/// What a file says that it is, by its type or, where that says nothing, by the end of its name, and the kinds that are
/// called so. None if neither says anything.
pub(super) fn declared(media_type: &str, name: &str) -> Option<(String, &'static [Kind])> {
    let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if !matches!(&*media_type, "" | "application/octet-stream" | "binary/octet-stream") {
        let subtype = media_type.split_once('/').map_or("", |(_, subtype)| subtype);
        let kinds = called(subtype.trim_start_matches("x-").trim_start_matches("vnd.")).unwrap_or_default();
        return Some((media_type, kinds));
    }
    let (_, end) = name.rsplit_once('.')?;
    called(&end.to_ascii_lowercase()).map(|kinds| (format!("'.{end}'"), kinds))
}

/// The kinds that go by a name.
fn called(name: &str) -> Option<&'static [Kind]> {
    Some(match name {
        "wav" | "wave" | "pn-wav" => &[Kind::Wav],
        "mp3" | "mpga" | "mpeg3" | "mpeg-3" => &[Kind::Mp3],
        "mpeg" => &[Kind::Mp3, Kind::Mpeg],
        "aac" | "aacp" => &[Kind::Aac, Kind::Mp4],
        "flac" => &[Kind::Flac],
        "ogg" | "oga" | "opus" | "vorbis" => &[Kind::Ogg],
        "webm" | "matroska" | "mkv" => &[Kind::Webm],
        "mp4" | "m4a" | "mp4a-latm" | "quicktime" | "mov" | "3gpp" => &[Kind::Mp4],
        "png" | "apng" => &[Kind::Png],
        "jpeg" | "jpg" | "pjpeg" => &[Kind::Jpeg],
        "webp" => &[Kind::Webp],
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_what_their_first_bytes_say() {
        for (first, kind) in [
            (&b"RIFF\x24\0\0\0WAVEfmt "[..], Some(Kind::Wav)),
            (b"RIFF\x24\0\0\0WEBPVP8 ", Some(Kind::Webp)),
            (b"ID3\x04\0\0", Some(Kind::Mp3)),
            (b"\xff\xfb\x90\x64", Some(Kind::Mp3)),
            (b"\xff\xf1\x50\x80", Some(Kind::Aac)),
            (b"fLaC\0\0\0\x22", Some(Kind::Flac)),
            (b"OggS\0\x02", Some(Kind::Ogg)),
            (b"\x1a\x45\xdf\xa3\x01", Some(Kind::Webm)),
            (b"\0\0\0\x20ftypM4A ", Some(Kind::Mp4)),
            (b"\x89PNG\r\n\x1a\n", Some(Kind::Png)),
            (b"\xff\xd8\xff\xe0", Some(Kind::Jpeg)),
            (b"RIFF\x24\0\0\0AVI ", None),
            (b"MZ\x90\0", None),
            (b"%PDF-1.7", None),
            (b"", None),
        ] {
            assert_eq!(Kind::of_bytes(first), kind, "{first:?}");
        }
    }

    #[test]
    fn types_come_before_names() {
        for (media_type, name, kinds) in [
            ("audio/x-wav", "a.mp3", Some(&[Kind::Wav][..])),
            ("audio/vnd.wave; codec=1", "a", Some(&[Kind::Wav])),
            ("application/octet-stream", "a.M4A", Some(&[Kind::Mp4])),
            ("", "a.png", Some(&[Kind::Png])),
            ("", "a.bin", None),
            ("", "a", None),
            ("text/plain", "a.wav", Some(&[])),
        ] {
            assert_eq!(declared(media_type, name).map(|(_, kinds)| kinds), kinds, "{media_type} {name}");
        }
    }
}

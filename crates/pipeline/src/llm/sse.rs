//! Server-sent events, as far as chat completions use them.

/// A line longer than this is refused.
pub(crate) const LINE_BYTES_MAX: usize = 1 << 20;

/// Cuts a byte stream into the values of its `data` lines.
///
/// Works on bytes because chunks end anywhere, also inside a character. Every
/// `data` line is one event: providers send each JSON document on one line,
/// and some leave out the blank line between two.
#[derive(Debug, Default)]
pub(crate) struct SseReader {
    line: Vec<u8>,
}

/// A line grew beyond [`LINE_BYTES_MAX`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LineTooLong;

impl SseReader {
    /// Takes the next chunk; returns the data lines it completed, in order.
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Result<Vec<String>, LineTooLong> {
        let mut data = Vec::new();
        for piece in chunk.split_inclusive(|&byte| byte == b'\n') {
            if self.line.len() + piece.len() > LINE_BYTES_MAX {
                return Err(LineTooLong);
            }
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                data.extend(self.end_line());
            }
        }
        Ok(data)
    }

    /// Takes a last line that no newline ended. Call it when the stream is over.
    pub(crate) fn end_line(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.line);
        let value = line.trim_ascii_end().strip_prefix(b"data:")?.trim_ascii();
        (!value.is_empty()).then(|| String::from_utf8_lossy(value).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(chunks: &[&[u8]]) -> Vec<String> {
        let mut reader = SseReader::default();
        let mut data: Vec<String> = Vec::new();
        for chunk in chunks {
            data.extend(reader.push(chunk).unwrap());
        }
        data.extend(reader.end_line());
        data
    }

    #[test]
    fn every_cut_of_a_hangul_stream_reads_the_same() {
        let stream = "data: 한빛시\r\n\r\ndata:심야버스\n\n".as_bytes();
        for cut in 0..=stream.len() {
            let (head, tail) = stream.split_at(cut);
            assert_eq!(read(&[head, tail]), ["한빛시", "심야버스"], "cut at {cut}");
        }
    }

    #[test]
    fn comments_and_unknown_fields_are_ignored() {
        let stream = b": keepalive\nevent: error\nid: 7\nretry: 10\nnonsense\ndata:\ndata: x\n";
        assert_eq!(read(&[stream]), ["x"]);
    }

    #[test]
    fn a_last_line_without_newline_counts() {
        assert_eq!(read(&[b"data: [DONE]"]), ["[DONE]"]);
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut reader = SseReader::default();
        let chunk = vec![b'x'; LINE_BYTES_MAX];
        assert_eq!(reader.push(&chunk), Ok(Vec::new()));
        assert_eq!(reader.push(b"x"), Err(LineTooLong));
    }
}

//! Server-sent events, from bytes as they come.

/// A message as the stream's rules dispatch it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// `id:` of this message.
    pub(crate) id: Option<String>,
    /// `event:`; empty means `message`.
    pub(crate) event: String,
    /// `data:` lines, joined by newlines.
    pub(crate) data: String,
}

/// The stream holds something that is no event stream.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SseError {
    /// A message is larger than is read.
    #[error("an event is larger than {MESSAGE_BYTES_MAX} bytes")]
    TooLarge,
    /// A line is not UTF-8.
    #[error("an event is not UTF-8")]
    NotUtf8,
}

/// Size of one message, in bytes. Larger than any event the server stores.
const MESSAGE_BYTES_MAX: usize = 32 << 20;

/// Takes chunks cut anywhere, even inside a character or between `\r` and `\n`.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    message: Message,
    has_data: bool,
    after_cr: bool,
    past_first_line: bool,
}

impl Parser {
    /// The messages that `chunk` completes.
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Result<Vec<Message>, SseError> {
        let mut done = Vec::new();
        for &byte in chunk {
            let ends_crlf = std::mem::replace(&mut self.after_cr, byte == b'\r') && byte == b'\n';
            match byte {
                _ if ends_crlf => {}
                b'\r' | b'\n' => done.extend(self.end_line()?),
                _ if self.line.len() + self.message.data.len() >= MESSAGE_BYTES_MAX => {
                    return Err(SseError::TooLarge);
                }
                _ => self.line.push(byte),
            }
        }
        Ok(done)
    }

    fn end_line(&mut self) -> Result<Option<Message>, SseError> {
        let bytes = std::mem::take(&mut self.line);
        let line = std::str::from_utf8(&bytes).map_err(|_| SseError::NotUtf8)?;
        let line = if std::mem::replace(&mut self.past_first_line, true) {
            line
        } else {
            line.trim_start_matches('\u{feff}')
        };
        if line.is_empty() {
            let message = std::mem::take(&mut self.message);
            return Ok(std::mem::take(&mut self.has_data).then_some(message));
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.message.data.push('\n');
                }
                self.message.data.push_str(value);
            }
            "event" => self.message.event = value.to_owned(),
            "id" if !value.contains('\0') => self.message.id = Some(value.to_owned()),
            // Comments, `retry` (our own back-off is bounded) and fields of the future.
            _ => {}
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "\u{feff}retry: 2000\n\n: hello\r\nid: 7\r\nevent: progress\r\ndata: {\"a\":\r\ndata: \"한\"}\r\n\r\nid:8\rdata\r\rdata:x\n\n";

    fn expected() -> Vec<Message> {
        let message = |id: Option<&str>, event: &str, data: &str| Message {
            id: id.map(str::to_owned),
            event: event.to_owned(),
            data: data.to_owned(),
        };
        vec![
            message(Some("7"), "progress", "{\"a\":\n\"한\"}"),
            message(Some("8"), "", ""),
            message(None, "", "x"),
        ]
    }

    #[test]
    fn messages_are_the_same_wherever_the_stream_is_cut() {
        let bytes = STREAM.as_bytes();
        for cut in 0..=bytes.len() {
            let mut parser = Parser::default();
            let mut seen = parser.push(&bytes[..cut]).unwrap();
            seen.extend(parser.push(&bytes[cut..]).unwrap());
            assert_eq!(seen, expected(), "cut at {cut}");
        }
        let mut parser = Parser::default();
        let one_by_one: Vec<_> = bytes
            .iter()
            .flat_map(|byte| parser.push(&[*byte]).unwrap())
            .collect();
        assert_eq!(one_by_one, expected());
    }

    #[test]
    fn an_unfinished_message_is_not_dispatched() {
        assert_eq!(Parser::default().push(b"data: x\n"), Ok(vec![]));
    }

    #[test]
    fn a_line_without_end_is_refused_before_it_fills_memory() {
        let mut parser = Parser::default();
        let chunk = vec![b'x'; 1 << 20];
        let refused = (0..=32).find_map(|_| parser.push(&chunk).err());
        assert_eq!(refused, Some(SseError::TooLarge));
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        assert_eq!(
            Parser::default().push(b"data: \xff\n"),
            Err(SseError::NotUtf8)
        );
    }
}

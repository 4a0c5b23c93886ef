//! Reading an answer, of which only its end matters.

use crate::Result;

/// An answer that is on its way.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    head: Vec<u8>,
    /// Of the body, once there is a whole head.
    left: Option<usize>,
}

impl Answer {
    /// Takes what has arrived, and says whether that was the end. Then it is ready for the next one.
    ///
    /// # Errors
    ///
    /// The answer is not a 200 with a `Content-Length`, or more arrived than that.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<bool> {
        let left = match self.left {
            Some(left) => left.checked_sub(bytes.len()),
            None => {
                self.head.extend_from_slice(bytes);
                let Some(end) = self.head.windows(4).position(|four| four == b"\r\n\r\n") else {
                    return Ok(false);
                };
                let length = content_length(&self.head[..end])?;
                length.checked_sub(self.head.len() - end - 4)
            }
        };
        let left = left.ok_or("more than one answer to one request")?;
        if left > 0 {
            self.left = Some(left);
            return Ok(false);
        }
        self.left = None;
        self.head.clear();
        Ok(true)
    }
}

fn content_length(head: &[u8]) -> Result<usize> {
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let status = lines.next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        return Err(format!("an answer that is not a 200: {status}").into());
    }
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    length.ok_or_else(|| "an answer without Content-Length".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nServer: x\r\ncontent-length: 5\r\n\r\nhello";

    #[test]
    fn an_answer_ends_with_its_body_however_it_is_cut() {
        for cut in 1..ANSWER.len() {
            let mut answer = Answer::default();
            for _ in 0..2 {
                assert!(!answer.take(&ANSWER[..cut]).unwrap(), "{cut}");
                assert!(answer.take(&ANSWER[cut..]).unwrap(), "{cut}");
            }
        }
    }

    #[test]
    fn what_no_proxy_should_say_is_an_error() {
        for wrong in ["HTTP/1.1 503 no\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"] {
            assert!(Answer::default().take(wrong.as_bytes()).is_err());
        }
        assert!(Answer::default().take(&[ANSWER, b"x"].concat()).is_err());
    }
}

//! Requests byte by byte: a client library would put a hostile path right before it is sent.

use std::time::Duration;

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// How long an answer may take.
const ANSWERED_WITHIN: Duration = Duration::from_mins(1);

/// A request as it is written to the socket.
#[derive(Debug, Clone)]
pub struct RawRequest {
    /// Where it is sent, such as `127.0.0.1:8080`.
    address: String,
    head: String,
    body: String,
}

/// What came back.
#[derive(Debug)]
pub struct RawAnswer {
    /// The status.
    pub status: u16,
    /// All of it, head and body.
    pub text: String,
}

impl RawRequest {
    /// A request of `target` at a base address such as `http://127.0.0.1:8080/stage`, to which it is appended as it is.
    pub fn new(method: &str, base: &str, target: &str) -> Self {
        let base = base.trim_start_matches("http://");
        let (address, prefix) = match base.split_once('/') {
            Some((address, prefix)) => (address, format!("/{prefix}")),
            None => (base, String::new()),
        };
        Self {
            address: address.to_owned(),
            head: format!("{method} {prefix}{target} HTTP/1.1\r\nConnection: close\r\n"),
            body: String::new(),
        }
    }

    /// The same request with one header more.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        for part in [name, ": ", value, "\r\n"] {
            self.head.push_str(part);
        }
        self
    }

    /// The same request with a body.
    pub fn body(mut self, body: &str) -> Self {
        body.clone_into(&mut self.body);
        self
    }

    /// Sends it, and reads the answer to its end.
    pub async fn send(self) -> RawAnswer {
        let length = self.body.len();
        let mut stream = self.open(length).await;
        let body = stream.write_all(self.body.as_bytes()).await;
        body.expect("the body should be sent");
        RawAnswer::read(&mut stream).await
    }

    /// Sends the head, and promises a body of that length.
    pub async fn open(&self, length: usize) -> TcpStream {
        let stream = TcpStream::connect(&self.address).await;
        let mut stream = stream.expect("the stack should listen");
        let host = if self.head.to_ascii_lowercase().contains("\r\nhost:") {
            String::new()
        } else {
            format!("Host: {}\r\n", self.address)
        };
        let head = format!("{}{host}Content-Length: {length}\r\n\r\n", self.head);
        let sent = stream.write_all(head.as_bytes()).await;
        sent.expect("the request should be sent");
        stream
    }
}

impl RawAnswer {
    /// Reads the answer to its end.
    pub async fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        let read = timeout(ANSWERED_WITHIN, stream.read_to_end(&mut bytes)).await;
        read.expect("the answer should come in time")
            .expect("the answer should be whole");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let status = text
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        Self {
            status: status.unwrap_or_else(|| panic!("no status: {text}")),
            text,
        }
    }

    /// The JSON in the body.
    pub fn json(&self) -> Value {
        let body = self.text.split_once("\r\n\r\n").map(|(_, body)| body);
        serde_json::from_str(body.unwrap_or_default()).unwrap_or_default()
    }
}

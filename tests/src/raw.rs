//! Raw HTTP requests, because client libraries normalize hostile paths.

use std::time::Duration;

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// How long a response may take.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A request as it is written to the socket.
#[derive(Debug, Clone)]
pub struct RawRequest {
    /// The server's address, such as `127.0.0.1:8080`.
    address: String,
    head: String,
    body: String,
}

/// A response as it was read from the socket.
#[derive(Debug)]
pub struct RawResponse {
    /// The status.
    pub status: u16,
    /// The head and the body.
    pub text: String,
}

impl RawRequest {
    /// A request for `target`, which is appended unchanged to a base URL such as
    /// `http://127.0.0.1:8080/stage`.
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

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        for part in [name, ": ", value, "\r\n"] {
            self.head.push_str(part);
        }
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: &str) -> Self {
        body.clone_into(&mut self.body);
        self
    }

    /// Sends the request, and reads the whole response.
    pub async fn send(self) -> RawResponse {
        let length = self.body.len();
        let mut stream = self.open(length).await;
        let body = stream.write_all(self.body.as_bytes()).await;
        body.expect("the body should be sent");
        RawResponse::read(&mut stream).await
    }

    /// Sends the head, which announces a body of this length.
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

impl RawResponse {
    /// Reads the whole response.
    pub async fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        let read = timeout(TIMEOUT, stream.read_to_end(&mut bytes)).await;
        read.expect("the response should arrive in time")
            .expect("the response should be complete");
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

    /// The body as JSON, or null.
    pub fn json(&self) -> Value {
        let body = self.text.split_once("\r\n\r\n").map(|(_, body)| body);
        serde_json::from_str(body.unwrap_or_default()).unwrap_or_default()
    }
}

//! A DynamoDB endpoint that returns one canned response for each operation.

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// A canned response: the operation, the HTTP status and the body.
pub(crate) type Response = (&'static str, u16, &'static str);

/// Starts the server, which runs until the test's runtime ends. Returns its URL.
pub(crate) async fn dynamodb(responses: &'static [Response]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(respond(stream, responses));
        }
    });
    endpoint
}

async fn respond(stream: TcpStream, responses: &[Response]) {
    let mut stream = BufReader::new(stream);
    let operation = receive(&mut stream).await;
    let canned = responses.iter().find(|(name, ..)| *name == operation);
    let (_, status, body) = canned.unwrap_or_else(|| panic!("no response to {operation}"));
    let head = format!(
        "HTTP/1.1 {status} Canned\r\nContent-Type: application/x-amz-json-1.0\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
}

/// Reads a whole request. Returns its operation.
async fn receive(stream: &mut BufReader<TcpStream>) -> String {
    let (mut operation, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            if line.trim_end().is_empty() {
                break;
            }
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "x-amz-target" => operation = value.rsplit('.').next().unwrap().to_owned(),
            "content-length" => length = value.parse().unwrap(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    operation
}

//! The wires besides plain HTTP/1.1: HTTP/2 and WebSockets.

use crate::{
    PATIENCE,
    wire::{Request, Response},
};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::{SocketAddr, TcpStream};
use tokio_tungstenite::tungstenite::{
    WebSocket, client::IntoClientRequest as _, client::client as handshake, handshake::HandshakeError,
};

pub use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

/// A client's end of a WebSocket.
pub type Socket = WebSocket<TcpStream>;

/// Opens a WebSocket; gives the answer's status and headers instead when it is refused.
///
/// # Panics
/// When the server does not answer.
pub fn socket(
    address: SocketAddr,
    target: &str,
    headers: &[(&str, &str)],
) -> Result<Socket, Box<http::Response<Option<Vec<u8>>>>> {
    let mut request = format!("ws://{address}{target}").into_client_request().expect("a WebSocket's URL");
    for (name, value) in headers {
        let name = http::HeaderName::from_bytes(name.as_bytes()).expect("a header's name");
        request.headers_mut().append(name, value.parse().expect("a header's value"));
    }
    let stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    match handshake(request, stream) {
        Ok((socket, _)) => Ok(socket),
        Err(HandshakeError::Failure(SocketError::Http(answer))) => Err(answer),
        Err(other) => panic!("no answer to the WebSocket: {other}"),
    }
}

/// Sends requests over one HTTP/2 connection, all at once; gives the answers in the order of the requests.
///
/// # Panics
/// When the server does not speak HTTP/2, does not answer or breaks off.
#[must_use]
pub fn http2(address: SocketAddr, requests: &[Request]) -> Vec<Response> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(address).await.expect("the server listens");
        let io = TokioIo::new(stream);
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.expect("HTTP/2 is spoken");
        let connection = tokio::spawn(connection);
        let calls = requests.iter().map(|request| one(sender.clone(), request.over_http2(&address.to_string())));
        let answers = futures_util::future::join_all(calls);
        let answers = tokio::time::timeout(PATIENCE, answers).await.expect("the answers come in time");
        connection.abort();
        answers
    })
}

async fn one(
    mut sender: hyper::client::conn::http2::SendRequest<Full<Bytes>>,
    request: http::Request<Full<Bytes>>,
) -> Response {
    let answer = sender.send_request(request).await.expect("an answer");
    let status = answer.status().as_u16();
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = answer.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    let body = answer.into_body().collect().await.expect("a whole body").to_bytes().to_vec();
    Response { status, headers, body }
}

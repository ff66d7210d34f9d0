//! Serves Lambda's Invoke API for some programs. `/_done` shows the total work of each.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
};

use anyhow::{Context, ensure};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
    serve::ListenerExt,
};
use clap::Parser;
use lambda_host::{Done, Function};
use tokio::net::TcpListener;

/// The header with which Lambda reports that the function failed.
const FUNCTION_ERROR: (&str, &str) = ("X-Amz-Function-Error", "Unhandled");

#[derive(Debug, Parser)]
struct Options {
    /// The address to listen on. Must be a loopback address.
    #[arg(long)]
    listen: SocketAddr,
    /// How many environments each function has.
    #[arg(long)]
    environments: usize,
    /// The functions' programs. The name of a function is that of its file.
    programs: Vec<PathBuf>,
}

type Functions = Arc<BTreeMap<String, Function>>;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    ensure!(
        options.listen.ip().is_loopback(),
        "{} is not a loopback address, so other machines could reach it",
        options.listen
    );
    let mut functions = BTreeMap::new();
    for program in &options.programs {
        let name = program.file_name().context("a program must be a file")?;
        // The programs inherit our environment.
        let function = Function::start(program, &HashMap::new(), options.environments).await;
        let function = function.with_context(|| format!("cannot run {}", program.display()))?;
        functions.insert(name.to_string_lossy().into_owned(), function);
    }
    let router = Router::new()
        .route("/2015-03-31/functions/{name}/invocations", post(invoke))
        .route("/_done", get(done))
        .layer(DefaultBodyLimit::disable())
        .with_state(Functions::new(functions));
    let listener = TcpListener::bind(options.listen).await?;
    let listener = listener.tap_io(|stream| _ = stream.set_nodelay(true));
    Ok(axum::serve(listener, router).await?)
}

async fn invoke(
    State(functions): State<Functions>,
    Path(name): Path<String>,
    event: Bytes,
) -> Response {
    let Some(function) = functions.get(&name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match function.invoke(event).await {
        Ok(answer) if answer.failed => ([FUNCTION_ERROR], answer.body).into_response(),
        Ok(answer) => answer.body.into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

async fn done(State(functions): State<Functions>) -> Json<BTreeMap<String, Done>> {
    let done = functions
        .iter()
        .map(|(name, function)| (name.clone(), function.done()));
    Json(done.collect())
}

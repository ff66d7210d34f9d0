//! A browser without JavaScript. It keeps cookies, opens pages, sends forms and follows redirects.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use reqwest::{
    Client, Method, RequestBuilder,
    header::{HeaderMap, SET_COOKIE},
    redirect::Policy,
};
use tokio::time::{Instant, timeout_at};

use super::page::{Form, Page};
use crate::Response;

/// How long a person waits for one response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// More redirects than any page of the storefront sends.
const MAX_REDIRECTS: usize = 10;

/// One person's browser, whose tabs share its cookies.
pub(super) struct Browser {
    http: Client,
    /// The shop's address, without a slash at the end.
    site: String,
    cookies: Mutex<BTreeMap<String, String>>,
}

/// A request for a page, or a sent form.
#[derive(Debug, Clone)]
pub(super) struct Navigation {
    path: String,
    form: Option<Vec<(String, String)>>,
}

/// A tab: its latest request, which a reload repeats, and its page if a response arrived.
pub(super) struct Tab {
    pub(super) navigation: Navigation,
    pub(super) page: Option<Page>,
}

/// How a response is lost.
#[derive(Debug, Clone, Copy)]
pub(super) enum Loss {
    /// The connection is dropped after this time, at any state of the request.
    Dropped(Duration),
    /// The request is executed, and the response after this many redirects is lost.
    Lost(usize),
}

impl Navigation {
    pub(super) fn open(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            form: None,
        }
    }

    /// Sends a form with its hidden fields and what the person typed.
    pub(super) fn send(form: &Form, typed: &[(&str, &str)]) -> Self {
        let typed = typed.iter();
        let typed = typed.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self {
            path: form.action.clone(),
            form: Some(form.hidden.iter().cloned().chain(typed).collect()),
        }
    }

    /// Whether it sends the checkout's form.
    pub(super) fn sends_order(&self) -> bool {
        self.form.is_some() && self.path.starts_with("/checkout")
    }
}

impl Browser {
    /// A browser with its own network address, made from its number, because the storefront has
    /// limits for each network.
    pub(super) fn new(site: &str, number: u32) -> Self {
        let host = site.trim_start_matches("http://");
        let host = host.split(':').next().unwrap_or(host);
        let mut client = Client::builder()
            .redirect(Policy::none())
            .timeout(RESPONSE_TIMEOUT)
            // Browsers resolve `*.localhost` themselves. Port 0 stands for the port of the URL.
            .resolve(host, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        // Only Linux has the whole of 127.0.0.0/8 as local addresses.
        if cfg!(target_os = "linux") {
            let [_, high, middle, low] = number.to_be_bytes();
            client = client.local_address(Some(Ipv4Addr::new(127, high | 128, middle, low).into()));
        }
        Self {
            http: client.build().expect("the client should be made"),
            site: site.to_owned(),
            cookies: Mutex::default(),
        }
    }

    /// Follows a link or sends a form, and follows the redirects.
    pub(super) async fn navigate(&self, mut navigation: Navigation, loss: Option<Loss>) -> Tab {
        let dropped_at = match loss {
            Some(Loss::Dropped(after)) => Instant::now() + after,
            _ => Instant::now() + RESPONSE_TIMEOUT,
        };
        for redirects in 0..MAX_REDIRECTS {
            let request = Response::try_of(self.request(&navigation));
            let response = match (timeout_at(dropped_at, request).await, loss) {
                (_, Some(Loss::Lost(after))) if after == redirects => break,
                (Ok(Ok(response)), _) => response,
                _ => break,
            };
            self.keep_cookies(&response.headers);
            let location = response.header("location");
            match response.status {
                303 => navigation = Navigation::open(location),
                307 => location.clone_into(&mut navigation.path),
                _ => {
                    let page = Some(Page::of(&navigation.path, &response));
                    return Tab { navigation, page };
                }
            }
        }
        Tab {
            navigation,
            page: None,
        }
    }

    fn request(&self, Navigation { path, form }: &Navigation) -> RequestBuilder {
        let method = if form.is_some() {
            Method::POST
        } else {
            Method::GET
        };
        let request = self
            .http
            .request(method, format!("{}{path}", self.site))
            .header("Accept", "text/html")
            .header("Accept-Language", "en")
            .header("Cookie", self.cookie_header());
        match form {
            Some(fields) => request.header("Origin", &self.site).form(fields),
            None => request,
        }
    }

    fn cookie_header(&self) -> String {
        let cookies = self.cookies.lock().unwrap_or_else(PoisonError::into_inner);
        let pairs = cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join("; ")
    }

    fn keep_cookies(&self, headers: &HeaderMap) {
        let mut cookies = self.cookies.lock().unwrap_or_else(PoisonError::into_inner);
        let set = headers.get_all(SET_COOKIE).iter();
        for cookie in set.filter_map(|it| it.to_str().ok()) {
            let mut parts = cookie.split("; ");
            let pair = parts.next().and_then(|pair| pair.split_once('='));
            let Some((name, value)) = pair else { continue };
            if parts.any(|part| part.eq_ignore_ascii_case("max-age=0")) {
                cookies.remove(name);
            } else {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

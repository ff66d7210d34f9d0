//! A browser without JavaScript: it keeps cookies, opens pages, sends their forms and follows redirects.

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
use crate::Answer;

/// How long a person waits for one answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// More redirects than any page of the shop makes.
const MAX_REDIRECTS: usize = 10;

/// One person's browser, whose tabs share its cookies.
pub(super) struct Browser {
    http: Client,
    /// The shop's address, without a slash at the end.
    site: String,
    cookies: Mutex<BTreeMap<String, String>>,
}

/// What is asked for: a page, or that a form is taken.
#[derive(Debug, Clone)]
pub(super) struct Navigation {
    path: String,
    form: Option<Vec<(String, String)>>,
}

/// A tab: what it has asked for last, which a reload repeats, and the answer if one came.
pub(super) struct Tab {
    pub(super) navigation: Navigation,
    pub(super) page: Option<Page>,
}

/// How an answer is lost.
#[derive(Debug, Clone, Copy)]
pub(super) enum Loss {
    /// The connection is dropped after so long, however far the request has come.
    Dropped(Duration),
    /// The request is carried out, and its answer, after so many redirects, does not arrive.
    Unheard(usize),
}

impl Navigation {
    pub(super) fn open(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            form: None,
        }
    }

    /// Sends the form of a page, with what is typed beside its hidden fields.
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
    /// A browser at a network address of its own, by its number: the shop limits what one network does.
    pub(super) fn new(site: &str, number: u32) -> Self {
        let host = site.trim_start_matches("http://");
        let host = host.split(':').next().unwrap_or(host);
        let mut client = Client::builder()
            .redirect(Policy::none())
            .timeout(PATIENCE)
            // Browsers know where `*.localhost` is. The port is the address's own.
            .resolve(host, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        // Elsewhere a machine has but one address of its own.
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

    /// Follows a link, or sends a form, and goes where that leads.
    pub(super) async fn navigate(&self, mut navigation: Navigation, loss: Option<Loss>) -> Tab {
        let dropped_at = match loss {
            Some(Loss::Dropped(after)) => Instant::now() + after,
            _ => Instant::now() + PATIENCE,
        };
        for redirects in 0..MAX_REDIRECTS {
            let request = Answer::try_of(self.request(&navigation));
            let answer = match (timeout_at(dropped_at, request).await, loss) {
                (_, Some(Loss::Unheard(after))) if after == redirects => break,
                (Ok(Ok(answer)), _) => answer,
                _ => break,
            };
            self.keep_cookies(&answer.headers);
            let location = answer.header("location");
            match answer.status {
                303 => navigation = Navigation::open(location),
                307 => location.clone_into(&mut navigation.path),
                _ => {
                    let page = Some(Page::of(&navigation.path, &answer));
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

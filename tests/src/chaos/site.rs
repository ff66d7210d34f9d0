//! Shoppers at the storefront. They reload, go back, open tabs, double-click and lose responses,
//! until they are shown an order or a refusal.

mod browser;
mod page;

use std::time::Duration;

use futures::future::join;
use orders::OrderNumber;
use rand::{Rng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use strum::Display;
use tokio::time::Instant;

use self::{
    browser::{Browser, Loss, Navigation, Tab},
    page::{Form, Page, PageKind},
};
use super::{
    checker::{Card, Intent},
    crowd::{Crowd, GaveUp, Pauses, QUANTITY},
};
use crate::{APPROVED, DECLINED, NOWHERE, stack::Credentials};

/// How long an unanswered request may still be executed. The storefront assumes one minute.
const MAY_EXECUTE_FOR: Duration = Duration::from_secs(70);

/// When a connection is dropped, in milliseconds after the request: at any step of placing an
/// order.
const DROPPED_MS: std::ops::Range<u64> = 0..1_500;

/// The responses to a sent form that may be lost: two redirects and the order's page.
const RESPONSES: usize = 3;

/// The city in the form, and another one in the second tab.
const HOME: &str = "Madrid";
const ELSEWHERE: &str = "Toledo";

/// What one person orders, and how they behave.
pub(super) struct Visit {
    number: u32,
    lines: Vec<(String, i64)>,
    card: &'static str,
    is_undeliverable: bool,
    buyer: Buyer,
    /// Unique to the intent, so that its orders can be found.
    address_line: String,
    habit: Habit,
    rng: ChaCha8Rng,
}

enum Buyer {
    Account(Credentials),
    Guest { email: String },
}

/// How a person behaves.
#[derive(Clone, Copy, Display)]
#[strum(serialize_all = "kebab-case")]
enum Habit {
    SendsOnce,
    /// Loses the response and reloads.
    Reloads(Loss),
    /// Loses the response, opens the checkout again and sends the new form.
    OpensAgain(Loss),
    /// Opens the checkout in two tabs and sends both forms, at once or one after the other.
    TwoTabs {
        at_once: bool,
    },
    /// Goes back from the order's page and sends the form again.
    GoesBack,
    /// Double-clicks. The browser drops the first request, which may be executed.
    DoubleClicks(Duration),
}

/// How a visit ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Shown,
    Refused(&'static str),
    /// The cart is empty, but no order was shown.
    Vanished,
}

/// What a tab finally shows.
enum Arrival {
    Checkout(Form),
    End(End),
}

impl Visit {
    pub(super) fn draw(number: u32, mut rng: ChaCha8Rng, crowd: &Crowd) -> Self {
        let how_many = rng.random_range(1..=3);
        let skus: Vec<&String> = crowd.skus.choose_multiple(&mut rng, how_many).collect();
        let line = |sku: &String| (sku.clone(), rng.random_range(QUANTITY));
        let lines = skus.into_iter().map(line).collect();
        let card = match rng.random_range(0..100) {
            0..8 => DECLINED,
            8..12 => "pm_card_chargeDeclinedInsufficientFunds",
            12..32 => "pm_card_mastercard",
            _ => APPROVED,
        };
        let is_undeliverable = rng.random_bool(0.06);
        let accounts = crowd.stack.shopper_credentials();
        let account = accounts.choose(&mut rng).cloned();
        let account = account.filter(|_| rng.random_bool(0.5));
        let guest = || Buyer::Guest {
            email: format!("visitor-{number}@guests.cauce.example"),
        };
        Self {
            number,
            lines,
            card,
            is_undeliverable,
            buyer: account.map_or_else(guest, Buyer::Account),
            address_line: format!("Calle del Intento {number}"),
            habit: Habit::draw(&mut rng),
            rng,
        }
    }

    fn intent(&self, shown: Vec<OrderNumber>) -> Intent {
        Intent {
            address_line: self.address_line.clone(),
            card: Card::of(self.card),
            is_undeliverable: self.is_undeliverable,
            shown,
        }
    }
}

impl Habit {
    fn draw(rng: &mut impl Rng) -> Self {
        match rng.random_range(0..100) {
            0..10 => Self::SendsOnce,
            10..35 => Self::Reloads(Loss::draw(rng)),
            35..60 => Self::OpensAgain(Loss::draw(rng)),
            60..80 => Self::TwoTabs {
                at_once: rng.random_bool(0.5),
            },
            80..90 => Self::GoesBack,
            _ => Self::DoubleClicks(Duration::from_millis(rng.random_range(0..300))),
        }
    }
}

impl Loss {
    fn draw(rng: &mut impl Rng) -> Self {
        let after = Duration::from_millis(rng.random_range(DROPPED_MS));
        let response = rng.random_range(0..RESPONSES);
        if rng.random_bool(0.5) {
            Self::Dropped(after)
        } else {
            Self::Lost(response)
        }
    }
}

/// One person at the storefront.
struct Visitor<'a> {
    crowd: &'a Crowd,
    browser: Browser,
    visit: Visit,
    shown: Vec<OrderNumber>,
    /// When a form was last sent whose response did not show its outcome.
    unanswered_at: Option<Instant>,
}

impl Crowd {
    /// Orders at the storefront until an order or a refusal is shown.
    pub(super) async fn visit(&self, visit: Visit) -> Result<(), GaveUp> {
        let mut visitor = Visitor {
            crowd: self,
            browser: Browser::new(&self.stack.site, visit.number),
            visit,
            shown: Vec::new(),
            unanswered_at: None,
        };
        let end = visitor.order().await;
        self.note_intent(visitor.visit.intent(visitor.shown)).await;
        let end = match end? {
            End::Shown => "site: order shown",
            End::Refused(why) => &format!("site: {why}"),
            End::Vanished => "site: cart empty, no order shown",
        };
        self.note(end).await;
        Ok(())
    }
}

impl Visitor<'_> {
    async fn order(&mut self) -> Result<End, GaveUp> {
        if !self.fill_cart().await? {
            return Ok(End::Refused("sold out"));
        }
        let tab = self.open_checkout().await;
        let form = match self.follow(tab).await? {
            Arrival::Checkout(form) => form,
            Arrival::End(end) => return Ok(end),
        };
        self.crowd
            .note(&format!("site: {}", self.visit.habit))
            .await;
        let tab = match self.visit.habit {
            Habit::SendsOnce => self.send(&form, HOME, None).await,
            Habit::Reloads(loss) => {
                let Tab { navigation, .. } = self.send(&form, HOME, Some(loss)).await;
                self.navigate(navigation, None).await
            }
            Habit::OpensAgain(loss) => {
                self.send(&form, HOME, Some(loss)).await;
                self.open_checkout().await
            }
            Habit::DoubleClicks(after) => {
                let click = self.fill_form(&form, HOME);
                let dropped = Some(Loss::Dropped(after));
                self.navigate_twice((click.clone(), dropped), (click, None))
                    .await
                    .1
            }
            Habit::GoesBack => {
                let tab = self.send(&form, HOME, None).await;
                self.send_until_answered(tab).await?;
                self.send(&form, HOME, None).await
            }
            Habit::TwoTabs { at_once } => self.send_from_two_tabs(&form, at_once).await?,
        };
        self.send_until_answered(tab).await
    }

    /// Opens the checkout in another tab and sends both forms, the second with another city.
    /// Returns the tab that is not followed to its end yet.
    async fn send_from_two_tabs(&mut self, form: &Form, at_once: bool) -> Result<Tab, GaveUp> {
        let other = self.open_checkout().await;
        let other = match self.follow(other).await? {
            Arrival::Checkout(form) => form,
            Arrival::End(_) => form.clone(),
        };
        if at_once {
            let forms = (
                self.fill_form(form, HOME),
                self.fill_form(&other, ELSEWHERE),
            );
            let (one, other) = self.navigate_twice((forms.0, None), (forms.1, None)).await;
            self.send_until_answered(one).await?;
            return Ok(other);
        }
        let one = self.send(form, HOME, None).await;
        self.send_until_answered(one).await?;
        Ok(self.send(&other, ELSEWHERE, None).await)
    }

    /// Adds all lines to the cart. Returns whether all products are in stock.
    async fn fill_cart(&mut self) -> Result<bool, GaveUp> {
        for (sku, quantity) in self.visit.lines.clone() {
            let mut pauses = Pauses::default();
            let path = format!("/products/{sku}");
            loop {
                let product = self.navigate(Navigation::open(&path), None).await;
                let product = product.page.filter(Page::is_found);
                let form = product.as_ref().map(|page| page.form_with("quantity"));
                match form {
                    Some(Some(form)) => {
                        let quantity = quantity.to_string();
                        let add = Navigation::send(&form, &[("quantity", &quantity)]);
                        let tab = self.navigate(add, None).await;
                        if tab.page.is_some_and(|page| page.path.contains("?added=")) {
                            break;
                        }
                    }
                    Some(None) => return Ok(false),
                    None => {}
                }
                self.pause_before_retry(&mut pauses, "site: cart").await?;
            }
        }
        Ok(true)
    }

    /// Sends the checkout's form until an order or a refusal is shown.
    async fn send_until_answered(&mut self, mut tab: Tab) -> Result<End, GaveUp> {
        let mut pauses = Pauses::default();
        loop {
            match self.follow(tab).await? {
                Arrival::Checkout(form) => {
                    self.pause_before_retry(&mut pauses, "site: form shown again")
                        .await?;
                    tab = self.send(&form, HOME, None).await;
                }
                Arrival::End(end) => return Ok(end),
            }
        }
    }

    /// Continues from what a tab shows to the checkout's form or the end of the visit.
    async fn follow(&mut self, mut tab: Tab) -> Result<Arrival, GaveUp> {
        let mut pauses = Pauses::default();
        loop {
            let kind = tab.page.as_ref().map_or(PageKind::Failure, Page::kind);
            match kind {
                PageKind::Order(_) => return Ok(Arrival::End(End::Shown)),
                // These lines were ordered before, in which case the form need not be sent again.
                PageKind::Outdated(_) | PageKind::EmptyCart if !self.shown.is_empty() => {
                    return Ok(Arrival::End(End::Shown));
                }
                PageKind::EmptyCart => return Ok(Arrival::End(End::Vanished)),
                PageKind::Checkout(form) | PageKind::Outdated(form) => {
                    return Ok(Arrival::Checkout(form));
                }
                PageKind::Refused(why) if !self.may_still_place_order() => {
                    return Ok(Arrival::End(End::Refused(why)));
                }
                PageKind::SignIn(form) => {
                    pauses.pause(&mut self.visit.rng).await;
                    tab = self.sign_in(&form).await;
                    continue;
                }
                PageKind::Cart | PageKind::Refused(_) | PageKind::Failure => {}
            }
            let complaint = tab
                .page
                .as_ref()
                .map_or_else(|| "site: no response".to_owned(), Page::complaint);
            self.pause_before_retry(&mut pauses, &complaint).await?;
            tab = self.reload_or_reopen(tab.navigation).await;
        }
    }

    async fn sign_in(&mut self, form: &Form) -> Tab {
        let Buyer::Account(Credentials { email, password }) = &self.visit.buyer else {
            return self.open_checkout().await;
        };
        let typed = [("email", email.as_str()), ("password", password.as_str())];
        self.navigate(Navigation::send(form, &typed), None).await
    }

    async fn open_checkout(&mut self) -> Tab {
        let path = match self.visit.buyer {
            Buyer::Account(_) => "/checkout",
            Buyer::Guest { .. } => "/checkout?guest",
        };
        self.navigate(Navigation::open(path), None).await
    }

    /// Continues after a page did not load.
    async fn reload_or_reopen(&mut self, navigation: Navigation) -> Tab {
        if navigation.sends_order() && self.visit.rng.random_bool(0.5) {
            self.navigate(navigation, None).await
        } else {
            self.open_checkout().await
        }
    }

    async fn send(&mut self, form: &Form, city: &str, loss: Option<Loss>) -> Tab {
        self.navigate(self.fill_form(form, city), loss).await
    }

    /// Fills in the checkout's form.
    fn fill_form(&self, form: &Form, city: &str) -> Navigation {
        let visit = &self.visit;
        let postal_code = if visit.is_undeliverable {
            NOWHERE
        } else {
            "28013"
        };
        let mut typed = vec![
            ("name", "Ana Gómez"),
            ("line1", &visit.address_line),
            ("line2", ""),
            ("postal_code", postal_code),
            ("city", city),
            ("region", ""),
            ("country", "ES"),
            ("card", visit.card),
        ];
        if let Buyer::Guest { email } = &visit.buyer {
            typed.push(("email", email));
        }
        Navigation::send(form, &typed)
    }

    async fn navigate(&mut self, navigation: Navigation, loss: Option<Loss>) -> Tab {
        let tab = self.browser.navigate(navigation, loss).await;
        self.observe(&tab);
        tab
    }

    /// Navigates in two tabs at once.
    async fn navigate_twice(
        &mut self,
        one: (Navigation, Option<Loss>),
        other: (Navigation, Option<Loss>),
    ) -> (Tab, Tab) {
        let one = self.browser.navigate(one.0, one.1);
        let tabs = join(one, self.browser.navigate(other.0, other.1)).await;
        self.observe(&tabs.0);
        self.observe(&tabs.1);
        tabs
    }

    /// Notes the order that a tab shows, or that a sent form has no known outcome.
    fn observe(&mut self, tab: &Tab) {
        match tab.page.as_ref().map_or(PageKind::Failure, Page::kind) {
            PageKind::Order(number) if !self.shown.contains(&number) => self.shown.push(number),
            PageKind::Failure | PageKind::Checkout(_) if tab.navigation.sends_order() => {
                self.unanswered_at = Some(Instant::now());
            }
            _ => {}
        }
    }

    /// Whether a form that was sent before may still place an order. Until then, no refusal is
    /// final.
    fn may_still_place_order(&self) -> bool {
        self.unanswered_at
            .is_some_and(|at| at.elapsed() < MAY_EXECUTE_FOR)
    }

    /// Waits before another attempt, and counts its reason.
    async fn pause_before_retry(&mut self, pauses: &mut Pauses, why: &str) -> Result<(), GaveUp> {
        self.crowd.note_repeated(why).await;
        pauses.pause(&mut self.visit.rng).await;
        if Instant::now() < self.crowd.deadline {
            Ok(())
        } else {
            Err(GaveUp)
        }
    }
}

//! People who order at the storefront: they reload, go back, open tabs, click twice and lose answers,
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
    page::{Form, Page, Sight},
};
use super::{
    checker::{Card, Intent},
    crowd::{Crowd, GivenUp, Pauses, QUANTITY},
};
use crate::{APPROVED, DECLINED, NOWHERE, stack::Credentials};

/// For how long a request that got no answer may still be carried out: the storefront's rule is a minute.
const UNDER_WAY: Duration = Duration::from_secs(70);

/// After how long a connection may be dropped, in milliseconds: at any stop of an order's way.
const DROPPED_MS: std::ops::Range<u64> = 0..1_500;

/// The stops of a sent form, whose answers may be lost: the attempt, the order, the order's page.
const STOPS: usize = 3;

/// The cities that are typed: another one in a second tab.
const HOME: &str = "Madrid";
const ELSEWHERE: &str = "Toledo";

/// What one person wants, and does besides sending the form once.
pub(super) struct Visit {
    number: u32,
    lines: Vec<(String, i64)>,
    card: &'static str,
    goes_nowhere: bool,
    buyer: Buyer,
    /// The intent's own, by which its orders are found.
    address_line: String,
    habit: Habit,
    chances: ChaCha8Rng,
}

enum Buyer {
    Account(Credentials),
    Guest { email: String },
}

/// What people do besides sending a form once.
#[derive(Clone, Copy, Display)]
#[strum(serialize_all = "kebab-case")]
enum Habit {
    SendsOnce,
    /// Loses the answer, and reloads.
    Reloads(Loss),
    /// Loses the answer, opens the checkout again and sends the new form.
    OpensAgain(Loss),
    /// Opens the checkout in two tabs, and sends both forms: at once, or one after the other.
    TwoTabs {
        at_once: bool,
    },
    /// Goes back from the order's page, and sends the form again.
    GoesBack,
    /// Clicks twice: the first request is dropped, but may be carried out.
    DoubleClicks(Duration),
}

/// How a visit ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Shown,
    Refused(&'static str),
    /// The cart is empty, although no order was shown.
    Vanished,
}

/// Where a tab has come to.
enum Arrival {
    Checkout(Form),
    End(End),
}

impl Visit {
    pub(super) fn draw(number: u32, mut chances: ChaCha8Rng, crowd: &Crowd) -> Self {
        let how_many = chances.random_range(1..=3);
        let skus: Vec<&String> = crowd.skus.choose_multiple(&mut chances, how_many).collect();
        let line = |sku: &String| (sku.clone(), chances.random_range(QUANTITY));
        let lines = skus.into_iter().map(line).collect();
        let card = match chances.random_range(0..100) {
            0..8 => DECLINED,
            8..12 => "pm_card_chargeDeclinedInsufficientFunds",
            12..32 => "pm_card_mastercard",
            _ => APPROVED,
        };
        let goes_nowhere = chances.random_bool(0.06);
        let accounts = crowd.stack.shopper_credentials();
        let account = accounts.choose(&mut chances).cloned();
        let account = account.filter(|_| chances.random_bool(0.5));
        let guest = || Buyer::Guest {
            email: format!("visitor-{number}@guests.cauce.example"),
        };
        Self {
            number,
            lines,
            card,
            goes_nowhere,
            buyer: account.map_or_else(guest, Buyer::Account),
            address_line: format!("Calle del Intento {number}"),
            habit: Habit::draw(&mut chances),
            chances,
        }
    }

    fn intent(&self, shown: Vec<OrderNumber>) -> Intent {
        Intent {
            address_line: self.address_line.clone(),
            card: Card::of(self.card),
            goes_nowhere: self.goes_nowhere,
            shown,
        }
    }
}

impl Habit {
    fn draw(chances: &mut impl Rng) -> Self {
        match chances.random_range(0..100) {
            0..10 => Self::SendsOnce,
            10..35 => Self::Reloads(Loss::draw(chances)),
            35..60 => Self::OpensAgain(Loss::draw(chances)),
            60..80 => Self::TwoTabs {
                at_once: chances.random_bool(0.5),
            },
            80..90 => Self::GoesBack,
            _ => Self::DoubleClicks(Duration::from_millis(chances.random_range(0..300))),
        }
    }
}

impl Loss {
    fn draw(chances: &mut impl Rng) -> Self {
        let after = Duration::from_millis(chances.random_range(DROPPED_MS));
        let stop = chances.random_range(0..STOPS);
        if chances.random_bool(0.5) {
            Self::Dropped(after)
        } else {
            Self::Unheard(stop)
        }
    }
}

/// One person at the storefront.
struct Visitor<'a> {
    crowd: &'a Crowd,
    browser: Browser,
    visit: Visit,
    shown: Vec<OrderNumber>,
    /// When a form was sent last whose answer did not tell what became of it.
    unanswered_at: Option<Instant>,
}

impl Crowd {
    /// Orders at the storefront, and stays until an order or a refusal is shown.
    pub(super) async fn visit(&self, visit: Visit) -> Result<(), GivenUp> {
        let mut visitor = Visitor {
            crowd: self,
            browser: Browser::new(&self.stack.site, visit.number),
            visit,
            shown: Vec::new(),
            unanswered_at: None,
        };
        let end = visitor.orders().await;
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
    async fn orders(&mut self) -> Result<End, GivenUp> {
        if !self.fills_the_cart().await? {
            return Ok(End::Refused("sold out"));
        }
        let tab = self.opens_the_checkout().await;
        let form = match self.arrives(tab).await? {
            Arrival::Checkout(form) => form,
            Arrival::End(end) => return Ok(end),
        };
        self.crowd
            .note(&format!("site: {}", self.visit.habit))
            .await;
        let tab = match self.visit.habit {
            Habit::SendsOnce => self.sends(&form, HOME, None).await,
            Habit::Reloads(loss) => {
                let Tab { navigation, .. } = self.sends(&form, HOME, Some(loss)).await;
                self.goes(navigation, None).await
            }
            Habit::OpensAgain(loss) => {
                self.sends(&form, HOME, Some(loss)).await;
                self.opens_the_checkout().await
            }
            Habit::DoubleClicks(after) => {
                let click = self.filled(&form, HOME);
                let dropped = Some(Loss::Dropped(after));
                self.goes_twice((click.clone(), dropped), (click, None))
                    .await
                    .1
            }
            Habit::GoesBack => {
                let tab = self.sends(&form, HOME, None).await;
                self.insists(tab).await?;
                self.sends(&form, HOME, None).await
            }
            Habit::TwoTabs { at_once } => self.sends_two_tabs(&form, at_once).await?,
        };
        self.insists(tab).await
    }

    /// Opens the checkout in another tab, and sends both forms; the other one with another city. Answers
    /// the tab that is still to come to its end.
    async fn sends_two_tabs(&mut self, form: &Form, at_once: bool) -> Result<Tab, GivenUp> {
        let other = self.opens_the_checkout().await;
        let other = match self.arrives(other).await? {
            Arrival::Checkout(form) => form,
            Arrival::End(_) => form.clone(),
        };
        if at_once {
            let forms = (self.filled(form, HOME), self.filled(&other, ELSEWHERE));
            let (one, other) = self.goes_twice((forms.0, None), (forms.1, None)).await;
            self.insists(one).await?;
            return Ok(other);
        }
        let one = self.sends(form, HOME, None).await;
        self.insists(one).await?;
        Ok(self.sends(&other, ELSEWHERE, None).await)
    }

    /// Puts all that is wanted into the cart; answers whether there is some of everything.
    async fn fills_the_cart(&mut self) -> Result<bool, GivenUp> {
        for (sku, quantity) in self.visit.lines.clone() {
            let mut pauses = Pauses::default();
            let path = format!("/products/{sku}");
            loop {
                let product = self.goes(Navigation::open(&path), None).await;
                let product = product.page.filter(Page::is_found);
                let form = product.as_ref().map(|page| page.form_with("quantity"));
                match form {
                    Some(Some(form)) => {
                        let quantity = quantity.to_string();
                        let add = Navigation::send(&form, &[("quantity", &quantity)]);
                        let tab = self.goes(add, None).await;
                        if tab.page.is_some_and(|page| page.path.contains("?added=")) {
                            break;
                        }
                    }
                    Some(None) => return Ok(false),
                    None => {}
                }
                self.tries_again(&mut pauses, "site: cart").await?;
            }
        }
        Ok(true)
    }

    /// Sends the checkout's form until an order or a refusal is shown.
    async fn insists(&mut self, mut tab: Tab) -> Result<End, GivenUp> {
        let mut pauses = Pauses::default();
        loop {
            match self.arrives(tab).await? {
                Arrival::Checkout(form) => {
                    self.tries_again(&mut pauses, "site: form shown again")
                        .await?;
                    tab = self.sends(&form, HOME, None).await;
                }
                Arrival::End(end) => return Ok(end),
            }
        }
    }

    /// Follows what a tab shows to the checkout's form, or to the end of the visit.
    async fn arrives(&mut self, mut tab: Tab) -> Result<Arrival, GivenUp> {
        let mut pauses = Pauses::default();
        loop {
            let sight = tab.page.as_ref().map_or(Sight::Failure, Page::sight);
            match sight {
                Sight::Order(_) => return Ok(Arrival::End(End::Shown)),
                // It asks to be sent again unless these things were ordered before.
                Sight::Outdated(_) | Sight::EmptyCart if !self.shown.is_empty() => {
                    return Ok(Arrival::End(End::Shown));
                }
                Sight::EmptyCart => return Ok(Arrival::End(End::Vanished)),
                Sight::Checkout(form) | Sight::Outdated(form) => {
                    return Ok(Arrival::Checkout(form));
                }
                Sight::Refused(why) if !self.may_be_under_way() => {
                    return Ok(Arrival::End(End::Refused(why)));
                }
                Sight::SignIn(form) => {
                    pauses.pause(&mut self.visit.chances).await;
                    tab = self.signs_in(&form).await;
                    continue;
                }
                Sight::Cart | Sight::Refused(_) | Sight::Failure => {}
            }
            let complaint = tab
                .page
                .as_ref()
                .map_or_else(|| "site: no answer".to_owned(), Page::complaint);
            self.tries_again(&mut pauses, &complaint).await?;
            tab = self.reloads_or_opens_again(tab.navigation).await;
        }
    }

    async fn signs_in(&mut self, form: &Form) -> Tab {
        let Buyer::Account(Credentials { email, password }) = &self.visit.buyer else {
            return self.opens_the_checkout().await;
        };
        let typed = [("email", email.as_str()), ("password", password.as_str())];
        self.goes(Navigation::send(form, &typed), None).await
    }

    async fn opens_the_checkout(&mut self) -> Tab {
        let path = match self.visit.buyer {
            Buyer::Account(_) => "/checkout",
            Buyer::Guest { .. } => "/checkout?guest",
        };
        self.goes(Navigation::open(path), None).await
    }

    /// What people do whose page did not come.
    async fn reloads_or_opens_again(&mut self, navigation: Navigation) -> Tab {
        if navigation.sends_order() && self.visit.chances.random_bool(0.5) {
            self.goes(navigation, None).await
        } else {
            self.opens_the_checkout().await
        }
    }

    async fn sends(&mut self, form: &Form, city: &str, loss: Option<Loss>) -> Tab {
        self.goes(self.filled(form, city), loss).await
    }

    /// The checkout's form as it is filled in.
    fn filled(&self, form: &Form, city: &str) -> Navigation {
        let visit = &self.visit;
        let postal_code = if visit.goes_nowhere { NOWHERE } else { "28013" };
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

    async fn goes(&mut self, navigation: Navigation, loss: Option<Loss>) -> Tab {
        let tab = self.browser.navigate(navigation, loss).await;
        self.reads(&tab);
        tab
    }

    /// Goes to two places at once.
    async fn goes_twice(
        &mut self,
        one: (Navigation, Option<Loss>),
        other: (Navigation, Option<Loss>),
    ) -> (Tab, Tab) {
        let one = self.browser.navigate(one.0, one.1);
        let tabs = join(one, self.browser.navigate(other.0, other.1)).await;
        self.reads(&tabs.0);
        self.reads(&tabs.1);
        tabs
    }

    /// Notes the order that a tab shows, or that its answer does not tell what became of a sent form.
    fn reads(&mut self, tab: &Tab) {
        match tab.page.as_ref().map_or(Sight::Failure, Page::sight) {
            Sight::Order(number) if !self.shown.contains(&number) => self.shown.push(number),
            Sight::Failure | Sight::Checkout(_) if tab.navigation.sends_order() => {
                self.unanswered_at = Some(Instant::now());
            }
            _ => {}
        }
    }

    /// Whether an order may still be placed by a form that was sent before. No refusal is definite then.
    fn may_be_under_way(&self) -> bool {
        self.unanswered_at
            .is_some_and(|at| at.elapsed() < UNDER_WAY)
    }

    /// Waits before another try, which is counted by why it is needed.
    async fn tries_again(&mut self, pauses: &mut Pauses, why: &str) -> Result<(), GivenUp> {
        self.crowd.note_repeated(why).await;
        pauses.pause(&mut self.visit.chances).await;
        if Instant::now() < self.crowd.deadline {
            Ok(())
        } else {
            Err(GivenUp)
        }
    }
}

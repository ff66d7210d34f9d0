//! What can be done with payments: checked, carried out, and written to the ledger, in one
//! transaction.

use jiff::{SignedDuration, Timestamp};
use redb::TableDefinition;
use serde_json::{Value, json};

use super::{
    Rules,
    answer::{Failure, Refusal},
    cards::{self, Card},
    intents::{CaptureMethod, Intent, Status},
    params::Params,
    render,
    search::Query,
};
use crate::{
    ledger::{self, Effect, Entry},
    storage::{StorageError, Table, Transaction},
};

const INTENTS: Table = TableDefinition::new("payment_intents");

/// Stripe's bounds of one payment, in minor units.
const MIN_AMOUNT: i64 = 50;
const MAX_AMOUNT: i64 = 99_999_999;

const MAX_PAGE: i64 = 100;
const DEFAULT_PAGE: i64 = 10;

const CURRENCIES: &[&str] = &[
    "aud", "brl", "cad", "chf", "clp", "cop", "czk", "dkk", "eur", "gbp", "hkd", "huf", "inr",
    "jpy", "krw", "mxn", "nok", "nzd", "pen", "pln", "ron", "sek", "sgd", "try", "usd", "uyu",
];

const CREATE_PARAMS: &[&str] = &[
    "amount",
    "automatic_payment_methods",
    "capture_method",
    "confirm",
    "currency",
    "description",
    "expand",
    "metadata",
    "off_session",
    "payment_method",
    "payment_method_types",
    "receipt_email",
    "return_url",
    "shipping",
    "statement_descriptor_suffix",
];

/// One call at work.
pub struct Work<'a> {
    /// Where changes go.
    pub transaction: &'a Transaction,
    /// What the caller sent.
    pub params: &'a Params,
    /// How the simulator was started.
    pub rules: Rules,
    /// The time of the call.
    pub now: Timestamp,
}

impl Work<'_> {
    /// Makes a payment, and tries the card when asked to confirm.
    pub fn create(&self) -> Result<Value, Failure> {
        self.params.only(CREATE_PARAMS)?;
        let intent = self.new_intent()?;
        if self.params.flag("confirm")? {
            self.check_redirects(&intent)?;
            let card = card_of(&intent)?;
            return self.try_card(intent, card);
        }
        self.keep(&intent)?;
        Ok(self.show(&intent))
    }

    /// Tries the card of a payment.
    pub fn confirm(&self, id: &str) -> Result<Value, Failure> {
        self.params
            .only(&["expand", "off_session", "payment_method", "return_url"])?;
        let mut intent = self.load(id)?;
        if !matches!(
            intent.status,
            Status::RequiresPaymentMethod | Status::RequiresConfirmation | Status::RequiresAction
        ) {
            let from = "requires_payment_method, requires_confirmation, requires_action";
            return Err(intent.unexpected("confirmed", from).into());
        }
        if let Some(method) = self.params.get("payment_method") {
            intent.payment_method = Some(method.to_owned());
        } else if intent.status == Status::RequiresPaymentMethod {
            return Err(Refusal::missing("payment_method").into());
        }
        self.check_redirects(&intent)?;
        let card = card_of(&intent)?;
        self.try_card(intent, card)
    }

    /// Takes held money.
    pub fn capture(&self, id: &str) -> Result<Value, Failure> {
        self.params
            .only(&["amount_to_capture", "expand", "final_capture", "metadata"])?;
        let amount = self.params.amount("amount_to_capture")?;
        let mut intent = self.load(id)?;
        let taken = intent.capture(amount)?;
        self.keep(&intent)?;
        self.record(&intent, Effect::Captured, taken)?;
        Ok(self.show(&intent))
    }

    /// Lets a payment go.
    pub fn cancel(&self, id: &str) -> Result<Value, Failure> {
        self.params.only(&["cancellation_reason", "expand"])?;
        let reason = self.params.get("cancellation_reason").map(str::to_owned);
        let known = ["duplicate", "fraudulent", "requested_by_customer", "abandoned"];
        if let Some(other) = reason.as_deref().filter(|reason| !known.contains(reason)) {
            let message = format!("Invalid cancellation_reason: {other}");
            return Err(Refusal::invalid("cancellation_reason", message).into());
        }
        let mut intent = self.load(id)?;
        self.let_go(&mut intent, reason)?;
        Ok(self.show(&intent))
    }

    /// Shows a payment.
    pub fn retrieve(&self, id: &str) -> Result<Value, Failure> {
        self.params.only(&["client_secret", "expand"])?;
        Ok(self.show(&self.load(id)?))
    }

    /// Shows the last payments, last first.
    pub fn list(&self) -> Result<Value, Failure> {
        self.params.only(&["expand", "limit", "starting_after"])?;
        let before = self.params.get("starting_after");
        self.page("list", "/v1/payment_intents", before, |_| true)
    }

    /// Shows the payments that a query finds.
    pub fn search(&self) -> Result<Value, Failure> {
        self.params.only(&["expand", "limit", "page", "query"])?;
        let query = Query::parse(self.params.required("query")?)?;
        let indexed = self.now - SignedDuration::from_millis(self.rules.search_lag_ms);
        self.page("search_result", "/v1/payment_intents/search", None, |intent| {
            intent.created <= indexed && query.finds(intent)
        })
    }

    /// An empty account: what matters is that it answers.
    pub fn balance(&self) -> Result<Value, Failure> {
        self.params.only(&["expand"])?;
        let none = json!([{ "amount": 0, "currency": "eur", "source_types": { "card": 0 } }]);
        Ok(json!({
            "object": "balance",
            "available": none,
            "livemode": false,
            "pending": none,
        }))
    }

    fn new_intent(&self) -> Result<Intent, Refusal> {
        let params = self.params;
        let Some(amount) = params.amount("amount")? else {
            return Err(Refusal::missing("amount"));
        };
        let currency = params.required("currency")?.to_lowercase();
        check_amount(amount, &currency)?;
        let capture_method = match params.get("capture_method") {
            Some("manual") => CaptureMethod::Manual,
            Some("automatic") => CaptureMethod::Automatic,
            None | Some("automatic_async") => CaptureMethod::AutomaticAsync,
            Some(other) => {
                let message = format!("Invalid capture_method: {other}");
                return Err(Refusal::invalid("capture_method", message));
            }
        };
        let types = params.list("payment_method_types");
        if let Some(other) = types.iter().find(|kind| **kind != "card") {
            let message = format!("The payment method type \"{other}\" is invalid.");
            return Err(Refusal::invalid("payment_method_types", message));
        }
        let redirects = params.get("automatic_payment_methods[allow_redirects]");
        // Stripe's default since 2023-08-16: whatever the dashboard offers.
        let automatic = types.is_empty().then(|| redirects.unwrap_or("always").to_owned());
        let payment_method = params.get("payment_method").map(str::to_owned);
        Ok(Intent {
            id: Intent::name("pi"),
            created: self.now,
            amount,
            amount_received: 0,
            currency,
            status: match payment_method {
                Some(_) => Status::RequiresConfirmation,
                None => Status::RequiresPaymentMethod,
            },
            capture_method,
            payment_method,
            payment_method_types: vec!["card".to_owned()],
            automatic_payment_methods: automatic,
            metadata: params.map("metadata"),
            description: params.get("description").map(str::to_owned),
            charge: None,
            canceled_at: None,
            cancellation_reason: None,
        })
    }

    /// A payment that might send the shopper away needs an address to come back to.
    fn check_redirects(&self, intent: &Intent) -> Result<(), Refusal> {
        let redirects = intent.automatic_payment_methods.as_deref() == Some("always");
        if !redirects || self.params.get("return_url").is_some() {
            return Ok(());
        }
        let message = "This PaymentIntent accepts payment methods that might redirect your \
                       customer off of your page, so you must provide a `return_url`. If you don't \
                       want to accept them, set automatic_payment_methods[allow_redirects] to never.";
        Err(Refusal::invalid("return_url", message))
    }

    fn try_card(&self, mut intent: Intent, card: Card) -> Result<Value, Failure> {
        let hold_until = self.now + SignedDuration::from_secs(self.rules.hold_seconds);
        let refusal = intent.confirm(card, self.now, hold_until);
        self.keep(&intent)?;
        match intent.status {
            Status::RequiresCapture => self.record(&intent, Effect::Authorized, intent.amount)?,
            Status::Succeeded => self.record(&intent, Effect::Captured, intent.amount)?,
            _ => {}
        }
        match refusal {
            Some(refusal) => Err(refusal.into()),
            None => Ok(self.show(&intent)),
        }
    }

    fn let_go(&self, intent: &mut Intent, reason: Option<String>) -> Result<(), Failure> {
        let held = intent.cancel(reason, self.now)?;
        self.keep(intent)?;
        if held > 0 {
            self.record(intent, Effect::Canceled, held)?;
        }
        Ok(())
    }

    fn load(&self, id: &str) -> Result<Intent, Failure> {
        let found: Option<Intent> = self.transaction.get(INTENTS, id)?;
        let mut intent =
            found.ok_or_else(|| Refusal::no_such(404, "payment_intent", "intent", id))?;
        if intent.has_lapsed(self.now) {
            self.let_go(&mut intent, Some("automatic".to_owned()))?;
        }
        Ok(intent)
    }

    fn keep(&self, intent: &Intent) -> Result<(), StorageError> {
        self.transaction.put(INTENTS, &intent.id, intent)
    }

    fn record(&self, intent: &Intent, effect: Effect, cents: i64) -> Result<(), StorageError> {
        let entry = Entry {
            at: self.now,
            effect,
            id: intent.id.clone(),
            order_id: intent.order_id(),
            cents,
            currency: intent.currency.to_uppercase(),
        };
        ledger::record(self.transaction, &entry)
    }

    fn show(&self, intent: &Intent) -> Value {
        render::intent(intent, self.params.list("expand").contains(&"latest_charge"))
    }

    fn page(
        &self,
        kind: &str,
        url: &str,
        before: Option<&str>,
        keep: impl Fn(&Intent) -> bool,
    ) -> Result<Value, Failure> {
        let limit = self.params.amount("limit")?.unwrap_or(DEFAULT_PAGE);
        if limit > MAX_PAGE {
            let message = format!("This value must be less than or equal to {MAX_PAGE}.");
            return Err(Refusal::invalid("limit", message)
                .code("parameter_invalid_integer")
                .into());
        }
        let limit = usize::try_from(limit).unwrap_or_default();
        let expand = self.params.list("expand").contains(&"data.latest_charge");
        let mut found = self.transaction.latest(INTENTS, before, limit + 1, keep)?;
        let has_more = found.len() > limit;
        found.truncate(limit);
        let shown: Vec<_> = found.iter().map(|intent| render::intent(intent, expand)).collect();
        Ok(render::list(kind, url, &shown, has_more))
    }
}

fn check_amount(amount: i64, currency: &str) -> Result<(), Refusal> {
    if !CURRENCIES.contains(&currency) {
        let known = CURRENCIES.join(", ");
        let message = format!("Invalid currency: {currency}. These are supported: {known}");
        return Err(Refusal::invalid("currency", message));
    }
    if amount < MIN_AMOUNT {
        let message = format!("Amount must be at least {MIN_AMOUNT} {currency} in minor units.");
        return Err(Refusal::invalid("amount", message).code("amount_too_small"));
    }
    if amount > MAX_AMOUNT {
        let message = format!("Amount must be no more than {MAX_AMOUNT} {currency}.");
        return Err(Refusal::invalid("amount", message).code("amount_too_large"));
    }
    Ok(())
}

fn card_of(intent: &Intent) -> Result<Card, Refusal> {
    let Some(method) = intent.payment_method.as_deref() else {
        return Err(Refusal::missing("payment_method"));
    };
    cards::find(method)
        .ok_or_else(|| Refusal::no_such(400, "PaymentMethod", "payment_method", method))
}

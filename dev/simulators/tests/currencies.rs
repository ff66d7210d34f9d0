//! The shop's table of currencies against the provider's rules: the provider charges every amount
//! that the shop allows.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

mod common;

use orders::{CURRENCIES, Cents, Currency, CurrencyRules, OrderId, PaymentMethod, RefundId};
use providers::{Authorization, CallError, PaymentIntent, Payments, RefundCall, client};

use common::{Simulator, shop_id};

/// Currencies with a minimum of the shop's own. The provider's is lower, and depends on the rate.
const CONVERTED: [&str; 4] = ["ISK", "KWD", "TWD", "UGX"];

struct Shop {
    _simulator: Simulator,
    payments: Payments,
}

impl Shop {
    async fn open() -> Self {
        let simulator = Simulator::start(simulators::PAYMENTS).await;
        let payments = Payments::new(client().unwrap(), &simulator.url, "sk_test_ours");
        Self {
            _simulator: simulator,
            payments,
        }
    }

    async fn authorize(&self, cents: i64, code: &str) -> Result<PaymentIntent, CallError> {
        let order_id = OrderId::generate();
        let currency: Currency = code.parse().unwrap();
        let payment_method: PaymentMethod = "pm_card_visa".parse().unwrap();
        let authorization = Authorization {
            shop: &shop_id(),
            round: 0,
            order_id,
            amount: Cents::try_from(cents).unwrap(),
            currency: &currency,
            payment_method: &payment_method,
        };
        let key = format!("{order_id}:authorize");
        self.payments.authorize(authorization, &key).await
    }

    /// The code with which this payment is rejected.
    async fn refusal(&self, cents: i64, code: &str) -> String {
        match self.authorize(cents, code).await {
            Err(CallError::Rejected { code, .. }) => code,
            other => panic!("{cents} {code}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn the_minimum_and_the_maximum_are_charged() {
    let shop = Shop::open().await;
    for rules in CURRENCIES {
        for cents in [rules.minimum(), rules.maximum()] {
            let intent = shop.authorize(cents.get(), rules.code()).await.unwrap();
            assert_eq!(intent.amount, cents, "{}", rules.code());
        }
    }
}

#[tokio::test]
async fn amounts_beyond_the_limits_are_refused() {
    let shop = Shop::open().await;
    let is_not_converted = |rules: &&CurrencyRules| !CONVERTED.contains(&rules.code());
    for rules in CURRENCIES.iter().filter(is_not_converted) {
        let less = rules.minimum().get() - rules.step().get();
        let code = shop.refusal(less, rules.code()).await;
        assert_eq!(code, "amount_too_small", "{}", rules.code());
    }
    for currency in ["EUR", "JPY", "KWD", "UGX"] {
        let code = shop.refusal(100_000_000, currency).await;
        assert_eq!(code, "amount_too_large", "{currency}");
    }
    // One unit, as the shop sent it while it treated ISK and UGX as currencies without decimals.
    for currency in ["ISK", "UGX"] {
        assert_eq!(shop.refusal(100, currency).await, "amount_too_small");
    }
}

#[tokio::test]
async fn fractions_and_unknown_currencies_are_refused() {
    let shop = Shop::open().await;
    for (cents, currency) in [(30_050, "ISK"), (800_001, "UGX"), (5_124, "KWD")] {
        let code = shop.refusal(cents, currency).await;
        assert_eq!(code, "invalid_request_error", "{cents} {currency}");
    }
    for currency in ["XYZ", "BGN"] {
        let code = shop.refusal(1_000, currency).await;
        assert_eq!(code, "invalid_request_error", "{currency}");
    }
}

#[tokio::test]
async fn a_refund_with_a_fraction_is_refused() {
    let shop = Shop::open().await;
    let intent = shop.authorize(100_000, "ISK").await.unwrap();
    shop.payments.capture(&intent.id, "capture").await.unwrap();
    let refund = async |cents: i64| {
        let refunding = RefundCall {
            shop: &shop_id(),
            payment_id: &intent.id,
            order_id: OrderId::generate(),
            refund_id: RefundId::generate(),
            amount: Cents::try_from(cents).unwrap(),
            reason: "It was damaged.",
        };
        let key = format!("refund:{cents}");
        shop.payments.refund(refunding, &key).await
    };
    let refused = refund(1_050).await.unwrap_err();
    assert!(matches!(refused, CallError::Rejected { .. }), "{refused:?}");
    assert_eq!(refund(1_000).await.unwrap().amount.get(), 1_000);
}

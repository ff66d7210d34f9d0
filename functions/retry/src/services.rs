//! The services that the steps call, with one trait each for our own books, the payment provider
//! and the shipping provider. A step's bounds say which of them it may call. The model checker runs
//! the same steps on its own services (`model.rs`).

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use orders::{LabelId, Order, OrderEvent, OrderId, PaymentId, Provider, ShipmentId, ShopId, Wait};
use providers::{
    Authorization, BoughtLabel, CallError, Parcel, PaymentIntent, Refund, RefundCall,
    ShipmentLookup, VoidReason,
};
use store::{NewAttention, RecordError, StoreError, Work};

use crate::guard::Failure;

/// All services that the steps of an order call.
pub trait Services: Books + PaymentCalls + ShippingCalls {}

impl<S: Books + PaymentCalls + ShippingCalls> Services for S {}

/// Our own books: orders, the outbox, attention items and the release queue. Also the clock and
/// randomness.
#[async_trait]
pub trait Books: Send + Sync {
    /// Returns the current time.
    fn now(&self) -> Timestamp;

    /// Returns a random number from 0 to 1, which spreads out waits.
    fn chance(&self) -> f64;

    /// Returns the order, if it exists.
    async fn order(&self, id: OrderId) -> Result<Option<Order>, StoreError>;

    /// Records the events that `decide` returns for the order's current state. See
    /// [`store::Orders::record`].
    async fn record(
        &self,
        id: OrderId,
        decide: impl for<'a> Fn(&'a Order) -> Vec<OrderEvent> + Send + Sync,
    ) -> Result<Order, RecordError>;

    /// Records that a provider is about to be called. See [`store::Orders::record_call`].
    async fn record_call(&self, id: OrderId) -> Result<(), StoreError>;

    /// Updates the wait of an order that already waits. See [`store::Orders::update_wait`].
    async fn update_wait(&self, order: &Order, wait: &Wait) -> Result<(), StoreError>;

    /// Whether a label was ever requested for the order.
    async fn has_requested_label(&self, id: OrderId) -> Result<bool, StoreError>;

    /// Deletes finished work from the outbox.
    async fn finish(&self, work: Work) -> Result<(), StoreError>;

    /// Raises an attention item. Returns false if it is open already.
    async fn raise(&self, finding: &NewAttention) -> Result<bool, StoreError>;

    /// Sends the command to release parked executions after a delay.
    async fn release_after(&self, delay: Duration) -> Result<(), StoreError>;
}

/// The circuit breakers. Calls to a provider are made inside [`Guarded::guarded`].
#[async_trait]
pub trait Guarded: Send + Sync {
    /// Calls a provider through its circuit breaker, with a few tries. `attempt` gets the number of
    /// earlier tries.
    async fn guarded<T: Send, F: Future<Output = Result<T, CallError>> + Send>(
        &self,
        provider: Provider,
        attempt: impl FnMut(u32) -> F + Send,
    ) -> Result<T, Failure>;
}

/// The calls to the payment provider.
#[async_trait]
pub trait PaymentCalls: Guarded {
    /// [`providers::Payments::authorize`].
    async fn authorize(
        &self,
        authorization: Authorization<'_>,
        key: &str,
    ) -> Result<PaymentIntent, CallError>;

    /// [`providers::Payments::capture`].
    async fn capture(&self, payment_id: &PaymentId, key: &str) -> Result<PaymentIntent, CallError>;

    /// [`providers::Payments::void`].
    async fn void_payment(
        &self,
        payment_id: &PaymentId,
        reason: VoidReason,
        key: &str,
    ) -> Result<PaymentIntent, CallError>;

    /// [`providers::Payments::get`].
    async fn payment(&self, payment_id: &PaymentId) -> Result<PaymentIntent, CallError>;

    /// [`providers::Payments::of_order`].
    async fn payments_of(
        &self,
        shop: &ShopId,
        order_id: OrderId,
    ) -> Result<Vec<PaymentIntent>, CallError>;

    /// [`providers::Payments::refund`].
    async fn refund(&self, refunding: RefundCall<'_>, key: &str) -> Result<Refund, CallError>;

    /// [`providers::Payments::refunds_of`].
    async fn refunds_of(&self, payment_id: &PaymentId) -> Result<Vec<Refund>, CallError>;
}

/// The calls to the shipping provider.
#[async_trait]
pub trait ShippingCalls: Guarded {
    /// [`providers::Shipping::look_up`].
    async fn shipment_of(&self, order_id: OrderId) -> Result<ShipmentLookup, CallError>;

    /// [`providers::Shipping::buy_label`].
    async fn buy_label(&self, parcel: Parcel<'_>) -> Result<BoughtLabel, CallError>;

    /// [`providers::Shipping::buy_label_for`].
    async fn buy_label_for(&self, shipment_id: &ShipmentId) -> Result<BoughtLabel, CallError>;

    /// [`providers::Shipping::void_label`].
    async fn void_label(&self, label_id: &LabelId) -> Result<(), CallError>;
}

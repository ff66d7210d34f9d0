//! What a worker's steps need of the world: the orders, the two providers, the clock. The model checker
//! runs the same steps on a world of its own (`model.rs`).

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use orders::{Hold, Order, OrderEvent, OrderId, Provider, ShopId};
use providers::{
    Authorization, BoughtLabel, CallError, Parcel, PaymentIntent, Payments, Refund, Refunding,
    Shipped, Shipping, VoidReason,
};
use store::{
    Command, Database, Executions, Finding, Parked, Queue, RecordError, StoreError, Users, Work,
};

use crate::guard::{Failure, Guard};

/// What the steps of orders and refunds call. The calls of a provider are made inside
/// [`Services::guarded`].
#[async_trait]
pub trait Services: Send + Sync {
    /// The time.
    fn now(&self) -> Timestamp;

    /// Chance, from 0 to 1, by which waits are spread out.
    fn chance(&self) -> f64;

    /// An order, by its id.
    async fn order(&self, id: OrderId) -> Result<Option<Order>, StoreError>;

    /// Records what `decide` says of the order as it is now. See [`store::Orders::record`].
    async fn record(
        &self,
        id: OrderId,
        decide: impl for<'a> Fn(&'a Order) -> Vec<OrderEvent> + Send + Sync,
    ) -> Result<Order, RecordError>;

    /// Records that a provider is about to be called. See [`store::Outbox::touch_last_call`].
    async fn touch_last_call(&self, id: OrderId) -> Result<(), StoreError>;

    /// Records how an order waits that waited before. See [`store::Outbox::still_held`].
    async fn still_held(&self, order: &Order, hold: &Hold) -> Result<(), StoreError>;

    /// Whether a label was ever asked for.
    async fn has_asked_for_label(&self, id: OrderId) -> Result<bool, StoreError>;

    /// Takes finished work out of the outbox.
    async fn finish(&self, work: Work) -> Result<(), StoreError>;

    /// Raises something for a person; false if it waits for one already.
    async fn raise(&self, finding: &Finding) -> Result<bool, StoreError>;

    /// Has parked work looked at after a delay.
    async fn release_after(&self, delay: Duration) -> Result<(), StoreError>;

    /// Calls a provider through its circuit breaker, with a few tries. `attempt` is given how many tries
    /// were made before.
    async fn guarded<T: Send, F: Future<Output = Result<T, CallError>> + Send>(
        &self,
        provider: Provider,
        attempt: impl FnMut(u32) -> F + Send,
    ) -> Result<T, Failure>;

    /// [`Payments::authorize`].
    async fn authorize(
        &self,
        authorization: Authorization<'_>,
        key: &str,
    ) -> Result<PaymentIntent, CallError>;

    /// [`Payments::capture`].
    async fn capture(&self, payment_id: &str, key: &str) -> Result<PaymentIntent, CallError>;

    /// [`Payments::void`].
    async fn void_payment(
        &self,
        payment_id: &str,
        reason: VoidReason,
        key: &str,
    ) -> Result<PaymentIntent, CallError>;

    /// [`Payments::get`].
    async fn payment(&self, payment_id: &str) -> Result<PaymentIntent, CallError>;

    /// [`Payments::of_order`].
    async fn payments_of(
        &self,
        shop: &ShopId,
        order_id: OrderId,
    ) -> Result<Vec<PaymentIntent>, CallError>;

    /// [`Payments::refund`].
    async fn refund(&self, refunding: Refunding<'_>, key: &str) -> Result<Refund, CallError>;

    /// [`Payments::refunds_of`].
    async fn refunds_of(&self, payment_id: &str) -> Result<Vec<Refund>, CallError>;

    /// [`Shipping::look_up`].
    async fn shipment_of(&self, order_id: OrderId) -> Result<Shipped, CallError>;

    /// [`Shipping::buy_label`].
    async fn buy_label(&self, parcel: Parcel<'_>) -> Result<BoughtLabel, CallError>;

    /// [`Shipping::buy_label_for`].
    async fn buy_label_for(&self, shipment_id: &str) -> Result<BoughtLabel, CallError>;

    /// [`Shipping::void_label`].
    async fn void_label(&self, label_id: &str) -> Result<(), CallError>;
}

/// The clients of everything that a worker uses.
#[derive(Clone)]
pub struct Clients {
    /// Orders.
    pub database: Database,
    /// The executions of the state machines.
    pub executions: Executions,
    /// The parked executions.
    pub parked: Parked,
    /// Brings the command to release parked executions.
    pub releases: Queue,
    /// The payment provider.
    pub payments: Payments,
    /// Its circuit breaker and retries.
    pub payments_guard: Guard,
    /// The shipping provider.
    pub shipping: Shipping,
    /// Its circuit breaker and retries.
    pub shipping_guard: Guard,
    /// The shoppers' accounts.
    pub users: Users,
}

#[async_trait]
impl Services for Clients {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn chance(&self) -> f64 {
        rand::random()
    }

    async fn order(&self, id: OrderId) -> Result<Option<Order>, StoreError> {
        self.database.orders().find(id).await
    }

    async fn record(
        &self,
        id: OrderId,
        decide: impl for<'a> Fn(&'a Order) -> Vec<OrderEvent> + Send + Sync,
    ) -> Result<Order, RecordError> {
        self.database.orders().record(id, self.now(), decide).await
    }

    async fn touch_last_call(&self, id: OrderId) -> Result<(), StoreError> {
        self.database.outbox().touch_last_call(id, self.now()).await
    }

    async fn still_held(&self, order: &Order, hold: &Hold) -> Result<(), StoreError> {
        self.database.outbox().still_held(order, hold).await
    }

    async fn has_asked_for_label(&self, id: OrderId) -> Result<bool, StoreError> {
        self.database.orders().has_requested_label(id).await
    }

    async fn finish(&self, work: Work) -> Result<(), StoreError> {
        self.database.outbox().finish(work).await
    }

    async fn raise(&self, finding: &Finding) -> Result<bool, StoreError> {
        self.database.attention().raise(finding, self.now()).await
    }

    async fn release_after(&self, delay: Duration) -> Result<(), StoreError> {
        self.releases.send(&Command::Release {}, delay).await
    }

    async fn guarded<T: Send, F: Future<Output = Result<T, CallError>> + Send>(
        &self,
        provider: Provider,
        attempt: impl FnMut(u32) -> F + Send,
    ) -> Result<T, Failure> {
        match provider {
            Provider::Payments => self.payments_guard.call(attempt).await,
            Provider::Shipping => self.shipping_guard.call(attempt).await,
        }
    }

    async fn authorize(
        &self,
        authorization: Authorization<'_>,
        key: &str,
    ) -> Result<PaymentIntent, CallError> {
        self.payments.authorize(authorization, key).await
    }

    async fn capture(&self, payment_id: &str, key: &str) -> Result<PaymentIntent, CallError> {
        self.payments.capture(payment_id, key).await
    }

    async fn void_payment(
        &self,
        payment_id: &str,
        reason: VoidReason,
        key: &str,
    ) -> Result<PaymentIntent, CallError> {
        self.payments.void(payment_id, reason, key).await
    }

    async fn payment(&self, payment_id: &str) -> Result<PaymentIntent, CallError> {
        self.payments.get(payment_id).await
    }

    async fn payments_of(
        &self,
        shop: &ShopId,
        order_id: OrderId,
    ) -> Result<Vec<PaymentIntent>, CallError> {
        self.payments.of_order(shop, order_id).await
    }

    async fn refund(&self, refunding: Refunding<'_>, key: &str) -> Result<Refund, CallError> {
        self.payments.refund(refunding, key).await
    }

    async fn refunds_of(&self, payment_id: &str) -> Result<Vec<Refund>, CallError> {
        self.payments.refunds_of(payment_id).await
    }

    async fn shipment_of(&self, order_id: OrderId) -> Result<Shipped, CallError> {
        self.shipping.look_up(order_id).await
    }

    async fn buy_label(&self, parcel: Parcel<'_>) -> Result<BoughtLabel, CallError> {
        self.shipping.buy_label(parcel).await
    }

    async fn buy_label_for(&self, shipment_id: &str) -> Result<BoughtLabel, CallError> {
        self.shipping.buy_label_for(shipment_id).await
    }

    async fn void_label(&self, label_id: &str) -> Result<(), CallError> {
        self.shipping.void_label(label_id).await
    }
}

/** The checkout's texts. */
export const en = {
  title: 'Checkout',
  address: 'Where it goes',
  name: 'Name',
  line1: 'Street and number',
  line2: 'Flat, floor or company',
  city: 'Town or city',
  region: 'Province or state',
  postal_code: 'Postal code',
  country: 'Country',
  payment: 'How you pay',
  testMode: 'This shop is in test mode: choose a test card. No money moves.',
  cards: {
    pm_card_visa: { name: 'Visa ending in 4242', note: 'Is approved' },
    pm_card_mastercard: { name: 'Mastercard ending in 4444', note: 'Is approved' },
    pm_card_chargeDeclined: { name: 'Visa ending in 0002', note: 'Is declined by the bank' },
    pm_card_chargeDeclinedInsufficientFunds: {
      name: 'Visa ending in 9995',
      note: 'Is declined for lack of funds',
    },
  },
  summary: 'Your order',
  change: 'Change the cart',
  place: (total: string) => `Place order for ${total}`,
  placing: 'Placing the order…',
  once: 'Press as often as you like: one order is placed. The amount is held now and charged when the parcel ships.',
  errorsTitle: 'The order was not placed',
  openTitle: 'It is not known yet whether the order was placed',
  earlier: {
    title: 'You have sent an order before',
    forgotten: (at: string) =>
      `You sent an order from this cart on ${at}, and no answer came. That is too long ago to find out here what became of it. Look for that order before you place a new one.`,
    otherAccount: (at: string) =>
      `An order was sent from this cart on ${at} with an account, and no answer came. Sign in with that account to see whether it was placed.`,
    guestPlaced: (number: string) =>
      `An order was placed from this cart without an account. Its number is ${number}: you need that number and its e-mail address to find it.`,
    anewText: 'A new order is placed and charged in addition to the first one.',
    anew: 'Start a new order',
  },
  errors: {
    required: 'Fill this in.',
    tooLong: (max: number) => `Use at most ${max} characters.`,
    country: 'Choose a country from the list.',
    email: 'Enter an e-mail address, such as ana@example.com.',
    card: 'Choose one of the cards.',
    refused: 'This is not accepted as it is. Please check it.',
    form: 'Some fields need another look.',
    outOfStock: (what: string) =>
      `There is not enough left of ${what}. Nothing was ordered and nothing was charged.`,
    pricesChanged: 'Prices have changed since this page was shown. Please look at the new total.',
    outdated:
      'This page was out of date, so nothing was ordered from it just now. Check it and send it again, unless you have ordered these things before.',
    pending:
      'You sent this order a moment ago, in another way, and its answer is still missing. Wait a minute, then send it again.',
    unanswered:
      'No answer came. Send it again: if the order went through, you will see that order, and no second one is placed.',
    tooLarge:
      'This is more than one order may hold. Nothing was ordered. Divide it into smaller orders.',
    tooMany: 'Too many orders in a short time. Please wait a minute and try again.',
    tooMuchUnpaid:
      'This would exceed the limit for unpaid orders. Nothing was ordered. Order less, or try again later.',
    unavailable:
      'The shop did not answer. Try again: if the order went through after all, it will not be placed twice.',
    unorderable: 'The cart cannot be ordered as it is.',
  },
  toOrders: 'Your orders',
  toCart: 'To the cart',
};

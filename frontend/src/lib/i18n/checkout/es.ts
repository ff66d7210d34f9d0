/** The checkout's texts, in Spanish. */
import type { CheckoutMessages } from './messages';

export const es: CheckoutMessages = {
  title: 'Tramitar el pedido',
  address: 'Adónde va',
  name: 'Nombre',
  line1: 'Calle y número',
  line2: 'Piso, puerta o empresa',
  city: 'Localidad',
  region: 'Provincia o estado',
  postal_code: 'Código postal',
  country: 'País',
  payment: 'Cómo pagas',
  testMode:
    'La tienda está en modo de prueba: elige una tarjeta de prueba. No se mueve dinero alguno.',
  cards: {
    pm_card_visa: { name: 'Visa terminada en 4242', note: 'Se aprueba' },
    pm_card_mastercard: { name: 'Mastercard terminada en 4444', note: 'Se aprueba' },
    pm_card_chargeDeclined: { name: 'Visa terminada en 0002', note: 'El banco la rechaza' },
    pm_card_chargeDeclinedInsufficientFunds: {
      name: 'Visa terminada en 9995',
      note: 'Se rechaza por falta de fondos',
    },
  },
  summary: 'Tu pedido',
  change: 'Cambiar la cesta',
  place: (total) => `Hacer el pedido por ${total}`,
  placing: 'Haciendo el pedido…',
  once: 'Pulsa las veces que quieras: se hace un solo pedido. El importe se retiene ahora y se cobra al enviar el paquete.',
  errorsTitle: 'El pedido no se ha hecho',
  openTitle: 'Aún no se sabe si el pedido se ha hecho',
  earlier: {
    title: 'Ya has enviado un pedido',
    forgotten: (at) =>
      `Enviaste un pedido con esta cesta el ${at} y no llegó respuesta. Ha pasado demasiado tiempo para averiguar aquí qué fue de él. Busca ese pedido antes de hacer otro.`,
    otherAccount: (at) =>
      `El ${at} se envió un pedido con esta cesta desde una cuenta y no llegó respuesta. Entra con esa cuenta para ver si se hizo.`,
    guestPlaced: (number) =>
      `Con esta cesta se hizo un pedido sin cuenta. Su número es ${number}: necesitas ese número y su correo para encontrarlo.`,
    anewText: 'Un pedido nuevo se hace y se cobra además del primero.',
    anew: 'Empezar un pedido nuevo',
  },
  errors: {
    required: 'Rellena este campo.',
    tooLong: (max) => `Usa como mucho ${max} caracteres.`,
    country: 'Elige un país de la lista.',
    email: 'Escribe un correo, como ana@example.com.',
    card: 'Elige una de las tarjetas.',
    refused: 'No se acepta tal como está. Compruébalo, por favor.',
    form: 'Hay campos que revisar.',
    outOfStock: (what) =>
      `No queda suficiente de ${what}. No se ha pedido nada ni se ha cobrado nada.`,
    pricesChanged:
      'Los precios han cambiado desde que se mostró esta página. Mira el nuevo total, por favor.',
    outdated:
      'Esta página no estaba al día, así que ahora no se ha pedido nada desde ella. Revísala y envíala otra vez, salvo que ya hayas pedido esto antes.',
    pending:
      'Enviaste este pedido hace un momento, de otra forma, y aún falta la respuesta. Espera un minuto y envíalo otra vez.',
    unanswered:
      'No ha llegado respuesta. Envíalo otra vez: si el pedido llegó a hacerse, verás ese pedido y no se hará otro.',
    tooLarge:
      'Es más de lo que cabe en un solo pedido. No se ha pedido nada. Divídelo en pedidos más pequeños.',
    tooMany:
      'Demasiados pedidos en poco tiempo. Espera un minuto y vuelve a intentarlo, por favor.',
    tooMuchUnpaid:
      'Se superaría el límite de pedidos sin pagar. No se ha pedido nada. Pide menos o inténtalo más tarde.',
    unavailable:
      'La tienda no ha respondido. Vuelve a intentarlo: si el pedido llegó a hacerse, no se hará dos veces.',
    unorderable: 'La cesta no se puede pedir tal como está.',
  },
  toOrders: 'Tus pedidos',
  toCart: 'A la cesta',
};

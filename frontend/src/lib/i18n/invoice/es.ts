/** The invoice's texts, in Spanish. */
import type { InvoiceMessages } from './messages';

export const es: InvoiceMessages = {
  title: (number) => `Factura del pedido ${number}`,
  heading: 'Factura',
  number: 'Pedido',
  placed: 'Pedido el',
  paid: 'Pagado el',
  billedTo: 'Facturado a',
  what: 'Concepto',
  quantity: 'Cantidad',
  each: 'Precio',
  sum: 'Importe',
  total: 'Total, IVA incluido',
  refunded: 'Devuelto',
  remaining: 'Queda pagado',
  print: 'Imprimir',
  back: 'Volver al pedido',
  pendingTitle: 'Aún no hay factura',
  pendingText: 'Se emite al cobrar en tu tarjeta, cuando el paquete tiene su etiqueta.',
  noneText: 'No se ha cobrado nada por este pedido, así que no hay nada que facturar.',
};

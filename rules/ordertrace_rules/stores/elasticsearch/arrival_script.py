"""The script of the pipeline `ordertrace-arrived`, which every event passes on its way into Elasticsearch.

It sets `ordertrace.arrived`, and `event.ingested` where it is missing; it computes `ordertrace.keys` as
`aliases.keys_of` does, where the sender has not; and what stands where its shape does not fit the mapping (an
object where a text belongs, a text where an object belongs, a name with an empty part) it moves to
`ordertrace.extra`, which is stored and not indexed, because Elasticsearch would refuse the document.

Where it differs from `keys_of`: a list or an object is no id, and where a nested and a dotted field say two
things at once, either may win. Unicode forms are Java's, which may know an older or newer standard.
"""

from typing import Final

ARRIVAL_SCRIPT: Final = """\
String text(def value) {
  if (value == null || value instanceof Map || value instanceof List) return '';
  if (value instanceof Double) {
    double number = (double) value;
    if (number == Math.rint(number) && Math.abs(number) < 1e300)
      return BigDecimal.valueOf(number).toBigInteger().toString();
  }
  return value.toString();
}

boolean isSpace(int c) {
  return Character.isWhitespace(c) || Character.isSpaceChar(c) || c == 0x85;
}

String id(def value, List absent) {
  String t = Normalizer.normalize(text(value), Normalizer.Form.NFKC);
  int from = 0, to = t.length();
  while (from < to && isSpace((int) t.charAt(from))) from++;
  while (to > from && isSpace((int) t.charAt(to - 1))) to--;
  t = t.substring(from, to);
  return absent.contains(t.toLowerCase()) ? '' : t;
}

boolean isFlat(def value) {
  if (value instanceof Map) return false;
  if (value instanceof List) {
    for (def each : value) if (each instanceof Map || each instanceof List) return false;
  }
  return true;
}

boolean isName(String key) {
  boolean blank = true;
  for (int i = 0; i < key.length(); i++) {
    if (key.charAt(i) == (char) '.') {
      if (blank) return false;
      blank = true;
    } else if (!Character.isWhitespace((int) key.charAt(i))) blank = false;
  }
  return !blank;
}

boolean isBelow(String name, List open) {
  for (String prefix : open) if (name.startsWith(prefix)) return true;
  return false;
}

/* Fills `flat` with the known fields by dotted name, and takes what does not fit out into `misfits`. */
void read(Map from, String prefix, Map flat, Map misfits, Map params) {
  Iterator entries = from.entrySet().iterator();  /* its remove() takes an empty name, a map's does not */
  while (entries.hasNext()) {
    def entry = entries.next();
    String name = prefix + entry.getKey();
    def value = entry.getValue();
    boolean open = isBelow(name, params.open);
    boolean fits = isName((String) entry.getKey());
    if (name == 'ordertrace.extra') {
      fits = false;
    } else if (fits && (open && value instanceof Map || params.objects.contains(name))) {
      fits = value == null || value instanceof Map;
      if (value instanceof Map) read(value, name + '.', flat, misfits, params);
    } else if (fits && (open || params.leaves.contains(name))) {
      fits = isFlat(value);
      if (fits) flat[name] = value;
    }
    if (!fits) {
      entries.remove();
      if (name == 'ordertrace.extra' && value instanceof Map) misfits.putAll(value);
      else misfits[name] = value;
    }
  }
}

void put(Map document, String parent, String name, def value) {
  if (document[parent] instanceof Map) document[parent].remove(name);
  document[parent + '.' + name] = value;
}

Map flat = new TreeMap();
Map misfits = new HashMap();
read(ctx, '', flat, misfits, params);
if (!misfits.isEmpty()) ctx['ordertrace.extra'] = misfits;

put(ctx, 'ordertrace', 'arrived', metadata().now);
if (text(flat['event.ingested']) == '') put(ctx, 'event', 'ingested', metadata().now);

if (flat['ordertrace.keys'] == null) {
  Set keys = new LinkedHashSet();
  String order = id(flat['order.id'], params.absent);
  if (order != '') keys.add('order:' + order);
  for (String field : ['order.trace_id', 'trace.id']) {
    String trace = text(flat[field]);
    if (trace != '') keys.add('trace:' + trace);
  }
  for (def entry : flat.entrySet()) {
    if (entry.getKey().startsWith('order.refs.')) {
      String value = id(entry.getValue(), params.absent);
      if (value != '') keys.add(entry.getKey().substring('order.refs.'.length()) + ':' + value);
    }
  }
  put(ctx, 'ordertrace', 'keys', new ArrayList(keys));
}
"""

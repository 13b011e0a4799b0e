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
  if (value instanceof Double && value == Math.rint(value) && Math.abs(value) < 1e300)
    return new BigDecimal(value).toBigInteger().toString();
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
  if (key.isEmpty() || key.endsWith('.')) return false;
  for (String part : key.splitOnToken('.')) if (part.trim().isEmpty()) return false;
  return true;
}

boolean isBelow(String name, List open) {
  for (String prefix : open) if (name.startsWith(prefix)) return true;
  return false;
}

/* Fills `flat` with the known fields by dotted name, and takes what does not fit out into `misfits`. */
void read(Map from, String prefix, Map flat, Map misfits, Map params) {
  List gone = new ArrayList();
  for (def entry : from.entrySet()) {
    String name = prefix + entry.getKey();
    def value = entry.getValue();
    boolean open = isBelow(name, params.open);
    if (name == 'ordertrace.extra' || !isName((String) entry.getKey())) {
      gone.add(entry.getKey());
    } else if (params.objects.contains(name)) {
      if (value instanceof Map) read(value, name + '.', flat, misfits, params);
      else if (value != null) gone.add(entry.getKey());
    } else if (open && value instanceof Map) {
      read(value, name + '.', flat, misfits, params);
    } else if (open || params.leaves.contains(name)) {
      if (isFlat(value)) flat[name] = value;
      else gone.add(entry.getKey());
    }
  }
  for (String key : gone) {
    def value = from.remove(key);
    if (prefix + key == 'ordertrace.extra' && value instanceof Map) misfits.putAll(value);
    else misfits[prefix + key] = value;
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

// From Prometheus' answers to the data frames that Grafana's transformations and panels take.

/** The frames of a panel: `answers` has for each refId a list of `{metric, values}` with values `[seconds, text]`. */
export function frames(panel, answers) {
  const several = panel.targets.length > 1;
  return panel.targets.flatMap((target) => {
    const result = answers[target.refId] ?? [];
    if (target.format === 'table') {
      // Of several queries one without an answer still has its column, as in Grafana; a single one has none.
      return result.length || several ? [tableFrame(target, result, several)] : [];
    }
    return result.map((series) => seriesFrame(target, series));
  });
}

/** All series in one frame: a field for each label, sorted, then the value. */
function tableFrame(target, result, several) {
  const labels = [...new Set(result.flatMap((series) => Object.keys(series.metric)))].sort();
  const value = several ? `Value #${target.refId}` : 'Value';
  return {
    refId: target.refId,
    length: result.length,
    fields: [
      field('Time', 'time', result.map((series) => series.values.at(-1)[0] * 1000)),
      ...labels.map((label) => field(label, 'string', result.map((series) => series.metric[label] ?? ''))),
      field(value, 'number', result.map((series) => number(series.values.at(-1)[1]))),
    ],
  };
}

/** A series over time, named by the legend of its query. */
function seriesFrame(target, series) {
  const named = (target.legendFormat || '').replace(/\{\{(\w+)\}\}/g, (_, label) => series.metric[label] ?? '');
  const own = Object.entries(series.metric).map(([label, value]) => `${label}="${value}"`);
  return {
    refId: target.refId,
    length: series.values.length,
    fields: [
      field('Time', 'time', series.values.map(([time]) => time * 1000)),
      {
        ...field('Value', 'number', series.values.map(([, value]) => number(value))),
        labels: series.metric,
        config: { displayNameFromDS: named || `{${own.join(', ')}}` },
      },
    ],
  };
}

function field(name, type, values) {
  return { name, type, values, config: {} };
}

function number(text) {
  return { inf: Infinity, '-inf': -Infinity }[text] ?? Number(text);
}

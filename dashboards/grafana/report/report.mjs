// node report.mjs PACKAGES THEME FILE: reads panels with the answers of Prometheus from the file, and writes what
// Grafana's own code makes of them: transformations, field overrides, value mappings, units, colours and links. No drawing, no browser.
import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';
import { frames } from '../frames.mjs';

const [packages, mode, file] = process.argv.slice(2);
const grafana = createRequire(path.join(packages, 'package.json'))('@grafana/data');

// What a browser has and this code asks for. After the import: some modules take a window for a browser.
globalThis.window ??= {};
globalThis.navigator ??= { language: 'en-US', languages: ['en-US'] };

const theme = grafana.createTheme({ colors: { mode } });
// What our dashboards transform with. seriesToColumns has the id of joinByField, so all of them cannot be registered.
const { groupByTransformer, mergeTransformer, organizeFieldsTransformer } = grafana.standardTransformers;
grafana.standardTransformersRegistry.setInit(() =>
  [groupByTransformer, mergeTransformer, organizeFieldsTransformer].map((transformation) => ({ id: transformation.id, transformation: () => transformation }))
);

// The properties that our dashboards set, each with Grafana's own way to apply it.
const PROPERTIES = new grafana.Registry(() => [
  ...Object.entries({
    displayName: grafana.displayNameOverrideProcessor,
    unit: grafana.unitOverrideProcessor,
    decimals: grafana.numberOverrideProcessor,
    min: grafana.numberOverrideProcessor,
    max: grafana.numberOverrideProcessor,
    noValue: grafana.identityOverrideProcessor,
    color: grafana.identityOverrideProcessor,
    thresholds: grafana.thresholdsOverrideProcessor,
    mappings: grafana.valueMappingsOverrideProcessor,
    links: grafana.dataLinksOverrideProcessor,
  }).map(([id, process]) => ({ id, path: id, name: id, process, shouldApply: () => true })),
  ...['width', 'cellOptions', 'lineWidth', 'hideFrom', 'wrapText'].map((id) => ({
    id: `custom.${id}`,
    path: id,
    name: id,
    isCustom: true,
    process: grafana.identityOverrideProcessor,
    shouldApply: () => true,
  })),
]);

function replaced(text, variables, scoped) {
  return text.replace(/\$\{(\w[\w.]*)(?::(\w+))?\}|\$(\w+)/g, (whole, braced, format, plain) => {
    const name = braced ?? plain;
    const data = scoped?.__dataContext?.value;
    if (name.startsWith('__data.fields.') && data) {
      const wanted = name.slice('__data.fields.'.length);
      const found = grafana.getFieldDisplayValuesProxy({ frame: data.frame, rowIndex: data.rowIndex })[wanted];
      return encodeURIComponent(found === undefined ? '' : String(found));
    }
    if (!(name in variables)) {
      return whole;
    }
    return format === 'queryparam' ? `var-${name}=${encodeURIComponent(variables[name])}` : variables[name];
  });
}

function transformed(panel, data) {
  return new Promise((resolve, reject) => {
    const context = { interpolate: (text) => text };
    grafana.transformDataFrame(panel.transformations ?? [], data, context).subscribe({ next: resolve, error: reject });
  });
}

function shown(one, value) {
  const display = one.display(value);
  return { text: grafana.formattedValueToString(display), color: display.color ?? null, numeric: display.numeric };
}

function fieldReport(one, frame, frameList) {
  const name = grafana.getFieldDisplayName(one, frame, frameList);
  return {
    name,
    source: one.name,
    type: one.type,
    color: one.config.color ?? null,
    width: one.config.custom?.width ?? null,
    cell: one.config.custom?.cellOptions ?? null,
    values: [...one.values].map((value) => shown(one, value)),
    empty: shown(one, null),
    links: (one.config.links ?? []).length
      ? [...one.values].map((_, rowIndex) => one.getLinks({ valueRowIndex: rowIndex }).map((link) => link.href))
      : [],
  };
}

/** Overrides whose field is in no answer: a typing error, or a column that the transformations dropped. */
function idleOverrides(panel, names) {
  return (panel.fieldConfig.overrides ?? [])
    .filter((override) => override.matcher.id === 'byName' && !names.has(override.matcher.options))
    .map((override) => override.matcher.options);
}

async function report({ panel, answers, variables }) {
  const replaceVariables = (text, scoped) => replaced(text, variables, scoped);
  const data = await transformed(panel, frames(panel, answers));
  const before = new Set(data.flatMap((frame) => frame.fields.map((one) => grafana.getFieldDisplayName(one, frame, data))));
  const applied = grafana.applyFieldOverrides({
    data,
    fieldConfig: panel.fieldConfig,
    fieldConfigRegistry: PROPERTIES,
    replaceVariables,
    theme,
    timeZone: 'utc',
  });
  const result = {
    id: panel.id,
    title: panel.title,
    type: panel.type,
    idle: idleOverrides(panel, before),
    fields: applied.flatMap((frame) =>
      frame.fields.filter((one) => one.type !== grafana.FieldType.time).map((one) => fieldReport(one, frame, applied))
    ),
  };
  if (panel.options?.reduceOptions) {
    result.figures = grafana
      .getFieldDisplayValues({
        data: applied,
        fieldConfig: panel.fieldConfig,
        reduceOptions: panel.options.reduceOptions,
        replaceVariables,
        theme,
        timeZone: 'utc',
      })
      .map(({ display }) => ({
        title: display.title ?? '',
        text: grafana.formattedValueToString(display),
        color: display.color ?? null,
      }));
  }
  return result;
}

Promise.all(JSON.parse(fs.readFileSync(file, 'utf8')).map(report)).then((reports) =>
  process.stdout.write(JSON.stringify(reports))
);

// Thin panels over Grafana's components. Grafana's own panel plugins are not on npm.
import React from 'react';
import {
  cacheFieldDisplayNames, getDisplayValueAlignmentFactors, getFieldDisplayName, getFieldDisplayValues, PanelPlugin,
  getFieldSeriesColor, standardEditorsRegistry, standardFieldConfigEditorRegistry, standardTransformers, standardTransformersRegistry,
  displayNameOverrideProcessor, unitOverrideProcessor, numberOverrideProcessor, identityOverrideProcessor,
  thresholdsOverrideProcessor, valueMappingsOverrideProcessor, dataLinksOverrideProcessor,
} from '@grafana/data';
import { sceneUtils } from '@grafana/scenes';
import {
  BarGauge, BigValue, TimeSeries, UPlotChart, UPlotConfigBuilder, useTheme2, VizLayout, VizLegend, VizRepeater,
} from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';

export function registerTransformations() {
  const { groupByTransformer, mergeTransformer, organizeFieldsTransformer } = standardTransformers;
  standardTransformersRegistry.setInit(() =>
    [groupByTransformer, mergeTransformer, organizeFieldsTransformer].map((one) => ({ id: one.id, transformation: () => one }))
  );
}

const STANDARD = {
  displayName: displayNameOverrideProcessor, unit: unitOverrideProcessor, decimals: numberOverrideProcessor,
  min: numberOverrideProcessor, max: numberOverrideProcessor, noValue: identityOverrideProcessor,
  color: identityOverrideProcessor, thresholds: thresholdsOverrideProcessor, mappings: valueMappingsOverrideProcessor,
  links: dataLinksOverrideProcessor,
};

function property(id, process) {
  const shouldApply = () => true;
  return { id, path: id, name: id, description: '', editor: () => null, override: () => null, process, shouldApply };
}

export function registerPanels() {
  standardEditorsRegistry.setInit(() => []);
  standardFieldConfigEditorRegistry.setInit(() => Object.entries(STANDARD).map(([id, process]) => property(id, process)));
  const panels = { stat: Stat, table: Table, bargauge: Bars, timeseries: Lines, 'state-timeline': Timeline };
  for (const [pluginId, panel] of Object.entries(panels)) {
    const plugin = new PanelPlugin(panel).useFieldConfig({
      useCustomConfig: (builder) => {
        for (const id of ['width', 'cellOptions', 'wrapText', 'drawStyle', 'lineWidth', 'fillOpacity', 'showPoints', 'spanNulls', 'stacking', 'hideFrom']) {
          builder.addCustomEditor({ ...property(id, identityOverrideProcessor), id });
        }
      },
    });
    sceneUtils.registerRuntimePanelPlugin({ pluginId, plugin });
  }
}

function Empty({ fieldConfig, height }) {
  return <div style={{ height, display: 'grid', placeItems: 'center', textAlign: 'center' }}>{fieldConfig.defaults.noValue}</div>;
}

function figures({ data, fieldConfig, options, replaceVariables, timeZone }, theme) {
  const reduceOptions = options.reduceOptions;
  return getFieldDisplayValues({ data: data.series, fieldConfig, reduceOptions, replaceVariables, theme, timeZone });
}

function Stat(props) {
  const { options, width, height, renderCounter, data } = props;
  const theme = useTheme2();
  return (
    <VizRepeater
      getValues={() => figures(props, theme)} getAlignmentFactors={getDisplayValueAlignmentFactors} source={data}
      width={width} height={height} renderCounter={renderCounter} orientation="auto" autoGrid
      renderValue={({ value, width, height, count, alignmentFactors }) => (
        <BigValue
          value={value.display} count={count} width={width} height={height} theme={theme} colorMode={options.colorMode}
          graphMode={options.graphMode} justifyMode={options.justifyMode ?? 'auto'} textMode={options.textMode}
          alignmentFactors={alignmentFactors}
        />
      )}
    />
  );
}

function Bars(props) {
  const { options, width, height, renderCounter, data } = props;
  const theme = useTheme2();
  return (
    <VizRepeater
      getValues={() => figures(props, theme)} getAlignmentFactors={getDisplayValueAlignmentFactors} source={data}
      width={width} height={height} renderCounter={renderCounter} orientation={options.orientation} minVizHeight={16}
      minVizWidth={8} maxVizHeight={300} itemSpacing={8}
      renderValue={({ value, width, height, orientation, alignmentFactors }) => (
        <BarGauge
          value={value.display} field={value.field} display={value.view?.getFieldDisplayProcessor(value.colIndex ?? 0)}
          width={width} height={height} orientation={orientation} theme={theme} displayMode={options.displayMode}
          showUnfilled={options.showUnfilled} valueDisplayMode={options.valueMode} alignmentFactors={alignmentFactors}
        />
      )}
    />
  );
}

function Table({ data, options, fieldConfig, width, height, timeRange }) {
  const frame = data.series[0];
  cacheFieldDisplayNames(data.series);
  if (!frame?.fields.length) {
    return <Empty fieldConfig={fieldConfig} height={height} />;
  }
  return (
    <TableNG
      data={frame} width={width} height={height} noHeader={!options.showHeader} sortBy={options.sortBy} timeRange={timeRange}
      cellHeight={options.cellHeight} fieldConfig={fieldConfig} noValue={fieldConfig.defaults.noValue} enableVirtualization={false} structureRev={1} resizable
    />
  );
}

/** The chart of @grafana/ui joins points over any gap, so a null stands where a gap is longer than spanNulls. */
function withGaps(frame) {
  const [times, ...values] = frame.fields;
  const spans = values[0]?.config.custom?.spanNulls;
  const most = typeof spans === 'number' ? spans : spans ? Infinity : 0;
  const step = Math.min(...times.values.slice(1).map((time, place) => time - times.values[place]));
  const gaps = times.values.flatMap((time, place) => (place && time - times.values[place - 1] > Math.max(most, step) ? [place] : []));
  const opened = (list, filler) => list.flatMap((value, place) => (gaps.includes(place) ? [filler(place), value] : [value]));
  return {
    ...frame,
    length: frame.length + gaps.length,
    fields: [
      { ...times, values: opened(times.values, (place) => times.values[place] - 1) },
      ...values.map((one) => ({ ...one, values: opened(one.values, () => null) })),
    ],
  };
}

/** Fixes the colour that a name has: the chart of @grafana/ui names its series anew, and its legend does not. */
function withColour(frame, theme) {
  const [times, ...values] = frame.fields;
  const fixed = (one) => ({ mode: 'fixed', fixedColor: getFieldSeriesColor(one, theme).color });
  return { ...frame, fields: [times, ...values.map((one) => ({ ...one, config: { ...one.config, color: fixed(one) } }))] };
}

function Lines({ data, options, fieldConfig, width, height, timeRange, timeZone }) {
  const theme = useTheme2();
  cacheFieldDisplayNames(data.series);
  if (!data.series.length) {
    return <Empty fieldConfig={fieldConfig} height={height} />;
  }
  return (
    <TimeSeries
      frames={data.series.map((frame) => withColour(withGaps(frame), theme))} structureRev={1} timeRange={timeRange} timeZone={timeZone} width={width}
      height={height} legend={options.legend} options={options}
    />
  );
}

const LETTER = 7;
const MOST_LETTERS = 24;

/** Bands of states: time axis and frame are Grafana's; the bands are ours, since Grafana's are in its panel plugin, which is not on npm. */
function Timeline({ data, fieldConfig, width, height, timeRange, timeZone }) {
  const theme = useTheme2();
  const rows = React.useMemo(() => data.series.map((frame) => ({
    name: getFieldDisplayName(frame.fields[1], frame, data.series), bands: bandsOf(frame, timeRange.to.valueOf()),
  })), [data, timeRange]);
  const config = React.useMemo(() => timelineConfig(rows, theme, timeRange, timeZone), [rows, theme, timeRange, timeZone]);
  if (!rows.length) {
    return <Empty fieldConfig={fieldConfig} height={height} />;
  }
  const states = new Map(rows.flatMap(({ bands }) => bands.map(({ text, color }) => [text, color])));
  const items = [...states].map(([label, color]) => ({ label, color, yAxis: 1 }));
  const legend = <VizLayout.Legend placement="bottom"><VizLegend placement="bottom" items={items} displayMode="list" readonly /></VizLayout.Legend>;
  const range = [timeRange.from.valueOf(), timeRange.to.valueOf()];
  return (
    <VizLayout width={width} height={height} legend={legend}>
      {(width, height) => <UPlotChart data={[range, [null, null]]} config={config} width={width} height={height} />}
    </VizLayout>
  );
}

function timelineConfig(rows, theme, timeRange, timeZone) {
  const config = new UPlotConfigBuilder(timeZone);
  const range = () => [timeRange.from.valueOf(), timeRange.to.valueOf()];
  config.addScale({ scaleKey: 'x', isTime: true, orientation: 0, direction: 1, range });
  config.addScale({ scaleKey: 'y', orientation: 1, direction: 1, range: () => [0, 1] });
  config.addAxis({ scaleKey: 'x', isTime: true, placement: 'bottom', timeZone, theme, grid: { show: false } });
  config.addAxis({ scaleKey: 'y', placement: 'left', theme, size: 16 + LETTER * Math.max(...rows.map(({ name }) => shortened(name).length)), grid: { show: false }, ticks: { show: false }, values: () => [] });
  config.addSeries({ scaleKey: 'y', pathBuilder: () => null, theme, showPoints: 'never' });
  config.addHook('draw', (plot) => drawBands(plot, rows, theme));
  return config;
}

function drawBands(plot, rows, theme) {
  const { ctx, bbox } = plot;
  const scale = window.devicePixelRatio;
  const high = Math.min(48 * scale, bbox.height / rows.length);
  ctx.save();
  ctx.font = `${12 * scale}px ${theme.typography.fontFamily}`;
  ctx.textBaseline = 'middle';
  rows.forEach(({ name, bands }, row) => {
    const middle = bbox.top + (row + 0.5) * high;
    ctx.fillStyle = theme.colors.text.primary;
    ctx.textAlign = 'right';
    ctx.fillText(shortened(name), bbox.left - 8 * scale, middle);
    ctx.textAlign = 'left';
    for (const { start, end, text, color } of bands) {
      const [from, to] = [start, end].map((time) => Math.max(plot.valToPos(time, 'x', true), bbox.left));
      ctx.fillStyle = color;
      ctx.fillRect(from, middle - high * 0.42, Math.max(to - from, scale), high * 0.84);
      if (to - from > ctx.measureText(text).width + 8 * scale) {
        ctx.fillStyle = theme.colors.getContrastText(color);
        ctx.fillText(text, from + 4 * scale, middle);
      }
    }
  });
  ctx.restore();
}

function shortened(name) {
  return name.length > MOST_LETTERS ? `${name.slice(0, MOST_LETTERS - 1)}…` : name;
}

function bandsOf(frame, to) {
  const [times, states] = frame.fields;
  const step = times.values[1] - times.values[0] || 30000;
  const bands = [];
  times.values.forEach((time, place) => {
    const { text, color } = states.display(states.values[place]);
    const last = bands.at(-1);
    const end = Math.min(time + step, to);
    if (last?.text === text && time - last.end <= step) {
      last.end = end;
    } else {
      bands.push({ start: time, end, text, color });
    }
  });
  return bands;
}

// Thin panels over Grafana's components. Grafana's own panel plugins are not on npm.
import React from 'react';
import {
  cacheFieldDisplayNames, getDisplayValueAlignmentFactors, getFieldDisplayName, getFieldDisplayValues, PanelPlugin,
  standardEditorsRegistry, standardFieldConfigEditorRegistry, standardTransformers, standardTransformersRegistry,
  displayNameOverrideProcessor, unitOverrideProcessor, numberOverrideProcessor, identityOverrideProcessor,
  thresholdsOverrideProcessor, valueMappingsOverrideProcessor, dataLinksOverrideProcessor,
} from '@grafana/data';
import { sceneUtils } from '@grafana/scenes';
import { BarGauge, BigValue, TimeSeries, useTheme2, VizRepeater } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';

export function registerTransformations() {
  const { mergeTransformer, organizeFieldsTransformer } = standardTransformers;
  standardTransformersRegistry.setInit(() =>
    [mergeTransformer, organizeFieldsTransformer].map((one) => ({ id: one.id, transformation: () => one }))
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
  if (!frame?.length) {
    return <Empty fieldConfig={fieldConfig} height={height} />;
  }
  return (
    <TableNG
      data={frame} width={width} height={height} noHeader={!options.showHeader} sortBy={options.sortBy} timeRange={timeRange}
      cellHeight={options.cellHeight} fieldConfig={fieldConfig} enableVirtualization={false} structureRev={1} resizable
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

function Lines({ data, options, fieldConfig, width, height, timeRange, timeZone }) {
  if (!data.series.length) {
    return <Empty fieldConfig={fieldConfig} height={height} />;
  }
  return (
    <TimeSeries
      frames={data.series.map(withGaps)} structureRev={1} timeRange={timeRange} timeZone={timeZone} width={width}
      height={height} legend={options.legend} options={options}
    />
  );
}

/** Bands of states. Grafana's own drawing of them is in its panel; texts and colours come from the mappings alike. */
function Timeline({ data, fieldConfig, width, height, timeRange }) {
  const theme = useTheme2();
  if (!data.series.length) {
    return <Empty fieldConfig={fieldConfig} height={height} />;
  }
  const [from, to] = [timeRange.from.valueOf(), timeRange.to.valueOf()];
  const label = Math.min(220, width / 3);
  const rows = data.series.map((frame) => ({ name: getFieldDisplayName(frame.fields[1], frame, data.series), bands: bandsOf(frame, to) }));
  const high = Math.min(48, (height - 4) / rows.length);
  const at = (time) => label + ((time - from) / (to - from)) * (width - label);
  return (
    <svg width={width} height={height} fontSize={11} fontFamily={theme.typography.fontFamily}>
      {rows.map(({ name, bands }, row) => (
        <g key={name}>
          <text x={0} y={(row + 0.5) * high + 4} fill={theme.colors.text.primary}>{shortened(name, label)}</text>
          {bands.map(({ start, end, text, color }) => (
            <g key={start}>
              <rect x={at(start)} y={row * high + 2} width={Math.max(at(end) - at(start), 1)} height={high * 0.85} fill={color} />
              {at(end) - at(start) > 7 * text.length && (
                <text x={at(start) + 4} y={(row + 0.5) * high + 4} fill={theme.colors.getContrastText(color)}>{text}</text>
              )}
            </g>
          ))}
        </g>
      ))}
    </svg>
  );
}

function shortened(name, width) {
  const most = Math.floor(width / 6.5);
  return name.length > most ? `${name.slice(0, most - 1)}…` : name;
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

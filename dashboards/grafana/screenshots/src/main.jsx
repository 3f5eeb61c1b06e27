// One dashboard, drawn by @grafana/scenes and @grafana/ui from answers that are given: no data source, no server.
import '@fontsource/inter/400.css';
import '@fontsource/inter/500.css';
import React from 'react';
import { createRoot } from 'react-dom/client';
import { MemoryRouter } from 'react-router-dom';
import { createTheme, dateTime, EventBusSrv, LoadingState, ThemeContext } from '@grafana/data';
import { initPluginTranslations } from '@grafana/i18n';
import { setAppEvents, setPluginImportUtils, setTemplateSrv } from '@grafana/runtime';
import { EmbeddedScene, SceneDataNode, SceneDataTransformer, SceneGridItem, SceneGridLayout, SceneTimeRange, VizPanel } from '@grafana/scenes';
import { GlobalStyles, PortalContainer } from '@grafana/ui';
import { frames } from 'frames';
import { registerPanels, registerTransformations } from './panels.jsx';

const GRID = 38;
const GAP = 8;

/** The panels of a dashboard's file in its grid, each with its own answers. */
function Dashboard({ input }) {
  const { dashboard, width } = input;
  const column = (width - 2 * GAP + GAP) / 24;
  return (
    <div style={{ position: 'relative', margin: `0 ${GAP}px`, height: heightOf(dashboard) * GRID }}>
      {dashboard.panels.map((panel) => {
        const { x, y, w, h } = panel.gridPos;
        const place = { left: x * column, top: y * GRID, width: w * column - GAP, height: h * GRID - GAP };
        return (
          <div key={panel.id} style={{ position: 'absolute', ...place }}>
            {panel.type === 'row' ? <h4 style={{ margin: 0, padding: '4px 8px' }}>⌄ {panel.title}</h4> : <Panel panel={panel} input={input} />}
          </div>
        );
      })}
    </div>
  );
}

function heightOf(dashboard) {
  return Math.max(...dashboard.panels.map(({ gridPos }) => gridPos.y + gridPos.h));
}

function Panel({ panel, input }) {
  const scene = React.useMemo(() => {
    const [from, to] = [dateTime(input.from), dateTime(input.to)];
    const timeRange = { from, to, raw: { from, to } };
    const data = { state: LoadingState.Done, series: frames(panel, input.answers[panel.id] ?? {}), timeRange };
    return new EmbeddedScene({
      $timeRange: new SceneTimeRange({ from: from.toISOString(), to: to.toISOString(), timeZone: 'utc' }),
      body: new VizPanel({
        key: `panel-${panel.id}`,
        title: panel.title,
        description: panel.description,
        pluginId: panel.type,
        options: panel.options,
        fieldConfig: panel.fieldConfig,
        $data: new SceneDataTransformer({ $data: new SceneDataNode({ data }), transformations: panel.transformations ?? [] }),
      }),
    });
  }, [panel, input]);
  return <scene.state.body.Component model={scene.state.body} />;
}

async function main() {
  const input = await (await fetch('input.json')).json();
  await initPluginTranslations('dashboards');
  setAppEvents(new EventBusSrv());
  setTemplateSrv({ replace: (text) => text, getVariables: () => [], containsTemplate: () => false, updateTimeRange() {} });
  setPluginImportUtils({ getPanelPluginFromCache: () => undefined, importPanelPlugin: (id) => Promise.reject(new Error(id)) });
  registerTransformations();
  registerPanels();
  const theme = createTheme({ colors: { mode: input.theme } });
  document.body.style.background = theme.colors.background.canvas;
  createRoot(document.getElementById('root')).render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <MemoryRouter>
        <h2 style={{ margin: '8px 16px' }}>{input.dashboard.title}</h2>
        <Dashboard input={input} />
      </MemoryRouter>
      <PortalContainer />
    </ThemeContext.Provider>
  );
}

main();

// The rules of one lens. Only eslint's own, so that nothing of the audited project has to be loaded.
export default [
  {
    files: ["**/*.js", "**/*.mjs", "**/*.cjs", "**/*.jsx"],
    languageOptions: { ecmaVersion: "latest", parserOptions: { ecmaFeatures: { jsx: true } } },
    linterOptions: { reportUnusedDisableDirectives: "off" },
    rules: {
      complexity: ["error", 10],
      "max-depth": ["error", 5],
      "max-params": ["error", 8],
      "max-statements": ["error", 60],
    },
  },
  { files: ["**/*.cjs"], languageOptions: { sourceType: "commonjs" } },
];

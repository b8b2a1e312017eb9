// OHIF over the DICOMweb of the archive, which nginx.conf puts behind the same address.
window.config = {
  "routerBasename": null,
  "extensions": [],
  "modes": [],
  "customizationService": {},
  "showStudyList": true,
  "maxNumberOfWebWorkers": 1,
  "showWarningMessageForCrossOrigin": false,
  "showCPUFallbackMessage": false,
  "investigationalUseDialog": {
    "option": "never"
  },
  "defaultDataSourceName": "archive",
  "dataSources": [
    {
      "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
      "sourceName": "archive",
      "configuration": {
        "friendlyName": "archive",
        "name": "archive",
        "wadoUriRoot": "/dicom-web",
        "qidoRoot": "/dicom-web",
        "wadoRoot": "/dicom-web",
        "qidoSupportsIncludeField": false,
        "imageRendering": "wadors",
        "thumbnailRendering": "wadors",
        "enableStudyLazyLoad": true,
        "supportsFuzzyMatching": false,
        "supportsWildcard": true,
        "staticWado": false,
        "singlepart": "bulkdata,video",
        "bulkDataURI": {
          "enabled": true,
          "relativeResolution": "studies"
        }
      }
    }
  ]
};
